package fanout

import "net/http"

// combine makes one answer of all. A yes from anyone is the answer; else a failure of one who was asked; else the no. What was not
// done is told, and with a yes that has no body of its own in the body as well.
func combine(c Call, results []Result) Answer {
	var firstYes, firstNo *Result
	for i := range results {
		r := &results[i]
		switch r.verdict(c.Kind) {
		case yes:
			if firstYes == nil {
				firstYes = r
			}
		case no:
			if firstNo == nil {
				firstNo = r
			}
		}
	}
	switch {
	case firstYes != nil:
		a := hand(firstYes)
		if a.mark(c.Kind, results) && mayTell(c, a) {
			a.ContentType, a.Body = typeJSON, reportOf("", "", results)
		}
		return a
	case firstNo != nil && !failed(c, results):
		a := hand(firstNo)
		a.mark(c.Kind, results)
		return a
	default:
		return refuseAll(c, results)
	}
}

// mayTell reports whether an answer has room for a report: it may have a body, and has none.
func mayTell(c Call, a Answer) bool {
	return c.Method != http.MethodHead && a.Status != http.StatusNoContent && len(a.Body) == 0
}

// failed reports whether somebody who was asked has failed.
func failed(c Call, results []Result) bool {
	for i := range results {
		if r := &results[i]; r.Outcome != Offline && r.verdict(c.Kind) == failure {
			return true
		}
	}
	return false
}

// refuseAll is the answer when nobody says yes and somebody has failed. If all that were asked refuse with the same status, and it
// is the caller's fault, theirs is the answer: a filter that cannot be read, say. Else it is 503 if nobody was there to be asked,
// 504 if the time was up, 502 for anything else.
func refuseAll(c Call, results []Result) Answer {
	asked, timedOut := 0, 0
	var same *Result
	agreed := true
	for i := range results {
		r := &results[i]
		if r.Outcome == Offline {
			continue
		}
		asked++
		switch {
		case r.Outcome == TimedOut:
			timedOut++
			agreed = false
		case r.Outcome != Answered || same != nil && same.Status != r.Status:
			agreed = false
		case same == nil:
			same = r
		}
	}
	var a Answer
	switch {
	case asked == 0:
		a = restError(http.StatusServiceUnavailable, "NoUpstream", "", "")
		a.Body = reportOf("NoUpstream", "No upstream is available now.", results)
	case agreed && callersFault(same.Status):
		a = hand(same)
	case timedOut == asked:
		a = restError(http.StatusGatewayTimeout, "UpstreamTimeout", "", "")
		a.Body = reportOf("UpstreamTimeout", "No upstream answered in time; the call may have been done.", results)
	default:
		a = restError(http.StatusBadGateway, "UpstreamFailure", "", "")
		a.Body = reportOf("UpstreamFailure", "No upstream has done the call for certain.", results)
	}
	if c.Method == http.MethodHead {
		a.ContentType, a.Body = "", nil
	}
	a.mark(c.Kind, results)
	return a
}

// callersFault reports whether a status is for the caller. Who he is the upstream has from us, so 401 and 403 are not: they mean
// that our key is wrong, or the network closed to us.
func callersFault(status int) bool {
	return status >= 400 && status <= 499 && status != http.StatusUnauthorized && status != http.StatusForbidden &&
		status != http.StatusRequestTimeout
}
