// Package script reads event scripts: small texts that say what happens in a
// distributed system, line by line, in an order in which it could have happened.
// docs/clock.md describes the language, and Help is its short form.
//
//	title A message that another overtakes
//	process P1 P2
//	P1 a send first
//	P1 b send second
//	P2 c receive second
//	P2 d receive first
//
// It knows nothing of clocks, and draws nothing. Errors are *Error, which name line
// and column.
package script
