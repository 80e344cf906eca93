//go:build invariants

package store

// invariantsEvery is how many commits there are to a check of the whole store.
const invariantsEvery = 1
