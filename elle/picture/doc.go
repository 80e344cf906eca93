// Package picture draws cycles of transactions: each transaction is a row of its
// micro-operations, the first on top; arrows lead from the micro-operation that came first
// to the one that shows it, down the page, until the last leads back to the top.
//
// It draws SVG by itself, as a file that needs nothing else, and writes DOT for those who
// have Graphviz and prefer its layout. The same cycle gives the same bytes. It judges
// nothing: it is given anomalies.
package picture
