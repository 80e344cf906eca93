// Package embedded runs a member of etcd in this process, so that a cluster of database nodes has a place for what its nodes must
// agree upon without an operator running anything else.
//
// The first node starts a cluster of one (Options.InitialCluster empty). Every other is added by one that is a member
// already (Add), as a learner, which has no vote and so cannot cost the majority if it does not come up; starts with
// the member list that Add returned (Start); and is given its vote when it has caught up (Promote). A member that starts
// again finds everything in its folder. A dead one is replaced by another in a new folder (Remove, Add).
//
// What it promises:
//
//   - What etcd acknowledged is on the disks of a majority: fsync stays on.
//   - Nothing but the peer port listens. Clients are in process (Server.Client).
//   - Close hands the leadership over first, if there is a member that can take it, so that a planned stop costs no election.
//   - The history is compacted: KeepHistory is all that is kept. What is deleted makes room within the quota: a file that is mostly
//     empty and more than half as large as the quota is made smaller, and a member that was full takes writes again.
//
// What the caller must do:
//
//  1. Keep the folder. A member that has lost it is another member: Remove it and Add the new one. It must not start a cluster
//     of its own under the old name.
//  2. Watch Done. etcd ends by itself when the member is removed from its cluster. When its disk fails it ends the process: what is on
//     the disk is unknown then, and a restart finds out.
//  3. Give the same certificates' authority and server name to all members.
//
// What it must not know: what is stored, logs, nodes, their number or their order.
package embedded
