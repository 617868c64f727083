package fanout

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// page is one page of connections, as the services give it.
type page struct {
	Value    []json.RawMessage `json:"value"`
	NextLink string            `json:"nextLink,omitempty"`
}

// bookmark is where a list goes on. It is the continuation token that our callers get: its JSON in base64url. The services' own
// tokens are opaque and mean something to the one who made them only.
type bookmark struct {
	Upstream string `json:"u"`
	Token    string `json:"t,omitempty"` // of that upstream; "" for its first page
	Left     int    `json:"n,omitempty"` // of top; 0 if there is no top
}

const (
	pageParameter = "continuationToken"
	topParameter  = "top"
	maxBookmark   = 4 << 10
)

var errPage = errors.New("the continuation token is none of ours")

func (b bookmark) String() string {
	text, err := json.Marshal(b)
	if err != nil {
		panic("BUG: a bookmark cannot be encoded: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseBookmark(text string) (bookmark, error) {
	var b bookmark
	if len(text) > maxBookmark {
		return b, errPage
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &b) != nil || b.Upstream == "" || b.Left < 0 {
		return bookmark{}, errPage
	}
	return b, nil
}

// list reads one page. The upstreams are read one after the other, so that a page is never longer than the caller has asked for,
// and a bookmark is small. An upstream that fails is left out and told of; one whose page is empty is passed over.
func (f *Fanout) list(ctx context.Context, o *order, targets []*peer) Answer {
	at, mark, err := f.start(o, targets)
	if err != nil {
		return restError(http.StatusBadRequest, "BadRequest", pageParameter, "Invalid request: "+err.Error()+".")
	}
	var results []Result
	for ; at < len(targets); at++ {
		p := targets[at]
		mark.Upstream = p.Name
		part := *o
		part.query = pageQuery(o.query, mark.Token)
		r := f.tell(ctx, &part, p)
		got, token, err := readPage(&r)
		if err != nil {
			r.Outcome, r.Status, r.err = BadAnswer, 0, err
		}
		results = append(results, r)
		mark.Token = ""
		if r.verdict(List) == failure {
			continue
		}
		f.learnPage(got, p.Name)
		if mark.Left > 0 && len(got.Value) >= mark.Left {
			got.Value = got.Value[:mark.Left]
			return f.page(o, got, nil, results)
		}
		if mark.Left > 0 {
			mark.Left -= len(got.Value)
		}
		switch {
		case token != "":
			mark.Token = token
			return f.page(o, got, &mark, results)
		case len(got.Value) == 0:
		case at+1 < len(targets):
			mark.Upstream = targets[at+1].Name
			return f.page(o, got, &mark, results)
		default:
			return f.page(o, got, nil, results)
		}
	}
	if !slices.ContainsFunc(results, func(r Result) bool { return r.verdict(List) == yes }) {
		return refuseAll(o.call, results)
	}
	return f.page(o, page{}, nil, results)
}

// start finds out where to go on.
func (f *Fanout) start(o *order, targets []*peer) (at int, mark bookmark, err error) {
	values, err := url.ParseQuery(o.query)
	if err != nil {
		return 0, bookmark{}, errors.New("the query cannot be read")
	}
	if text := values.Get(topParameter); text != "" {
		if mark.Left, err = strconv.Atoi(text); err != nil || mark.Left < 1 {
			return 0, bookmark{}, errors.New("top is not a number above 0")
		}
	}
	text := values.Get(pageParameter)
	if text == "" {
		return 0, mark, nil
	}
	if mark, err = parseBookmark(text); err != nil {
		return 0, bookmark{}, err
	}
	at = slices.IndexFunc(targets, func(p *peer) bool { return p.Name == mark.Upstream })
	if at < 0 {
		return 0, bookmark{}, errPage // of an upstream that was removed, or of another choice
	}
	return at, mark, nil
}

// pageQuery is a query that goes on at token. top is left out: what it means from the second page on is unverified, so it is kept
// to here.
func pageQuery(query, token string) string {
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if pair != "" && err == nil && name != pageParameter && name != topParameter {
			pairs = append(pairs, pair)
		}
	}
	if token != "" {
		pairs = append(pairs, pageParameter+"="+url.QueryEscape(token))
	}
	return strings.Join(pairs, "&")
}

// readPage reads an upstream's page and its token for the next one, "" if there is none.
func readPage(r *Result) (page, string, error) {
	var got page
	if r.verdict(List) != yes {
		return got, "", nil
	}
	if err := json.Unmarshal(r.body, &got); err != nil {
		return page{}, "", errors.New("the page is no JSON")
	}
	if got.NextLink == "" {
		return got, "", nil
	}
	next, err := url.Parse(got.NextLink)
	if err != nil || next.Query().Get(pageParameter) == "" {
		return page{}, "", errors.New("the page has a link without a continuation token")
	}
	return got, next.Query().Get(pageParameter), nil
}

// learnPage learns where the connections of a page are.
func (f *Fanout) learnPage(got page, upstream string) {
	for _, raw := range got.Value {
		var element struct {
			ConnectionID string `json:"connectionId"`
		}
		if json.Unmarshal(raw, &element) == nil {
			f.o.Directory.Learn(element.ConnectionID, upstream)
		}
	}
}

// page is the answer with a page, and a link to the next one if there is a mark.
func (f *Fanout) page(o *order, got page, next *bookmark, results []Result) Answer {
	got.NextLink = ""
	if got.Value == nil {
		got.Value = []json.RawMessage{}
	}
	if next != nil {
		query := pageQuery(o.query, next.String())
		got.NextLink = o.request.Base.String() + o.call.RawPath + "?" + query
	}
	body, err := json.Marshal(got)
	if err != nil {
		return refuseAll(o.call, results)
	}
	a := Answer{Status: http.StatusOK, ContentType: typeJSON, Body: body}
	a.mark(List, results)
	return a
}
