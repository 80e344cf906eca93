// Package replay runs an event script through a clock of choice: each event gets its
// stamp, as people write it, and the whole becomes a chart that clock/diagram draws.
package replay
