//go:build !race

package vlog_test

const raced = false
