// Package hostile treats a real server badly, from outside, and checks that
//
//   - what is wrong gets the right error, or ends the one connection that it came
//     on, and never more than that;
//   - a well-behaved client beside it keeps getting its answers;
//   - the memory of the process stays bounded, and comes back.
//
// The bounds on memory are absolute and generous: they are there to tell growth
// without bound from growth. Nothing is asserted about time; a client that gets
// no answer within a minute has not got one.
//
// The random tests print their seed, which REBASE_SEED repeats. REBASE_HOSTILE=soak
// runs everything at full size; without it sizes are smaller.
package hostile
