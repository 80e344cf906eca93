//go:build !invariants

package store

const invariantsEvery = 0
