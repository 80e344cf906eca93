// Package jsonscan is a pull scanner over JSON text that lies in memory.
//
// It exists because decoding into generic values costs several times what reading the text does: a caller that knows what
// it expects asks for it (a string here, the members of an object there) and builds its own values directly.
//
// The package promises that
//   - what it accepts is JSON by RFC 8259, in valid UTF-8, with two leniencies that JavaScript's JSON.parse has too: keys
//     may repeat (the caller decides which one counts), and an escape such as \ud800 that is half of a surrogate pair is
//     read as U+FFFD, because there is no UTF-8 for it;
//   - it never panics, and containers nest at most MaxDepth deep, so that hostile text cannot exhaust the stack;
//   - errors are *SyntaxError and say the line and column.
//
// The caller must consume exactly one value in each callback, must call End if nothing may follow the value, and must not
// change the data while a result that aliases it (Number, Raw, StringBytes) is in use. A Scanner is for one goroutine.
//
// The package knows nothing of what the JSON means.
package jsonscan
