// Package bench measures a server as its users meet it: from outside, over its
// protocols.
//
// It drives any server that speaks the Firebase Realtime Database protocol,
// given its URL; without one it starts a server of its own from the running
// program. What concerns the server's process (CPU time, memory) is read from
// /proc, so it needs the process id and Linux.
//
// Clients and server share the machine. Figures are therefore best compared as
// ratios, with what was measured in the same run beside them: the CPU time that
// the server spends on one delivery says more than the deliveries per second,
// and durable writes are held against group-committed syncs of the raw disk.
//
// The package knows the wire protocol, not the server's packages.
package bench
