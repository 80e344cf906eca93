// Package projects knows the projects of a server: which databases belong to one, and whose tokens are believed there.
//
// A project is one JSON document in the system tree "_auth", so that it goes through the log and every replica has it. All of them are held in
// memory and refreshed when the log changes one, so that a look-up costs no read. A Config that was handed out is
// never changed; who wants to change one changes a copy, with Update or Put.
//
// The registry checks that a document makes sense, and that no two projects claim one database or one API key. What a token must look like is the
// business of package auth, and who the users are that of auth/users.
package projects
