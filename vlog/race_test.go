//go:build race

package vlog_test

// With the race detector goroutines take turns at random, and everything takes longer.
const raced = true
