package handshake

// longestLength is the number of digits of a Content-Length that surely fits into an int64; an exabyte is enough.
const longestLength = 18

// framing is what the fields of a head say about the body.
type framing struct {
	lengths       int   // number of Content-Length fields
	length        int64 // value of the last one
	coded         bool  // there is a Transfer-Encoding field
	badLength     bool  // a Content-Length is not a plain number
	badCoding     bool  // something follows chunked, or the list is empty
	unknownCoding bool  // a coding other than chunked
}

// frame reads the fields that frame a body.
func frame(fields []Field) (f framing) {
	chunked, codings := false, 0
	for i := range fields {
		switch fields[i].kind {
		case kindContentLength:
			n, ok := parseDecimal(fields[i].Value, longestLength)
			f.lengths, f.length, f.badLength = f.lengths+1, n, f.badLength || !ok
		case kindTransferEncoding:
			f.coded = true
			for rest, more := fields[i].Value, true; more; {
				var coding []byte
				if coding, rest, more = cut(rest); len(coding) == 0 {
					continue
				}
				codings++
				f.badCoding = f.badCoding || chunked // nothing may follow chunked
				if chunked = equalFold(coding, "chunked"); !chunked {
					f.unknownCoding = true
				}
			}
		}
	}
	f.badCoding = f.badCoding || f.coded && codings == 0
	return f
}
