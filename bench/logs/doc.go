// Package logs measures the engines of the log beside each other and beside what the disk can do.
//
// Every engine is driven by the same appenders, each of which waits for its append to be durable before the next, in turns of a fraction of a
// second that alternate with turns of the raw reference (vlog/rawsync): what a machine does at a moment is in both, so ratios say more than
// rates. The engines that are processes of their own (etcd, ZooKeeper) are started by the caller.
//
// Beside appends it measures what the virtual log costs over a loglet (the same loglet is called directly and through the log, in turns, call by
// call), and a reconfiguration under load: how long it takes, and the longest that an append waits meanwhile.
package logs
