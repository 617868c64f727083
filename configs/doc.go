// Package configs holds example configuration files, ready to be copied and
// changed. Its noun is the example; its invariant is that each one passes the
// same checks as a file given to the router, which its test proves. It has no
// code and no lifecycle, and refuses files that no test loads.
package configs
