// Package attack tries to get at data that the attacker has no right to, from outside, on a
// closed server with two projects: over paths and names of databases that are written in
// unusual ways, from one database to another, over other clients' sessions, and on an open server through a proxy.
//
// Whatever the answer is, it must not hold what is marked as secret, and nothing may have
// changed afterwards. What overloads a server is in test/hostile.
package attack
