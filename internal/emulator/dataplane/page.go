package dataplane

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
)

const (
	// largestPage is the most connections on one page of a listing.
	largestPage = 200
	// anyNumber bounds the parameter top.
	anyNumber = 1 << 30
)

// A Listed is a connection in a listing.
type Listed struct {
	ConnectionID string `json:"connectionId"`
	UserID       string `json:"userId,omitempty"`
}

// Page answers with the part of a list that the parameters maxpagesize (1 to
// 200, default 200), top and continuationToken ask for, sorted by connection
// id, and the link to the next page. A connection that comes or goes between
// two pages is in the list or not; no other is left out or listed twice.
func (c *Call) Page(w http.ResponseWriter, list []Listed) error {
	size, err := c.Int("maxpagesize", largestPage, 1, largestPage)
	if err != nil {
		return err
	}
	top, err := c.Int("top", anyNumber, 1, anyNumber)
	if err != nil {
		return err
	}
	after, err := base64.RawURLEncoding.DecodeString(c.Query.Get("continuationToken"))
	if err != nil {
		return BadRequest("Invalid value of 'continuationToken'.")
	}
	slices.SortFunc(list, func(a, b Listed) int { return cmp.Compare(a.ConnectionID, b.ConnectionID) })
	rest := slices.DeleteFunc(list, func(l Listed) bool { return l.ConnectionID <= string(after) })
	page := rest[:min(size, top, len(rest))]
	answer := struct {
		Value    []Listed `json:"value"`
		NextLink string   `json:"nextLink,omitempty"`
	}{Value: append([]Listed{}, page...)} // an empty list is [], not null
	if len(page) < len(rest) && len(page) < top {
		answer.NextLink = c.next(page[len(page)-1].ConnectionID, top-len(page))
	}
	return WriteJSON(w, answer)
}

// next is the URL of the page after the connection last.
func (c *Call) next(last string, top int) string {
	query := c.URL.Query()
	query.Set("continuationToken", base64.RawURLEncoding.EncodeToString([]byte(last)))
	if query.Has("top") {
		query.Set("top", strconv.Itoa(top))
	}
	return c.At.String() + c.URL.EscapedPath() + "?" + query.Encode()
}
