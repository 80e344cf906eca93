package cluster

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog/etcd/embedded"
)

// The members of the embedded etcd are the database nodes, each under its number. A new one is a learner first, which has no vote: a member that
// does not come up must not cost the majority.

// findMember returns a node's member of etcd; ok is false if there is none. One that was added and has not yet started has no name.
func findMember(ctx context.Context, client *clientv3.Client, id NodeID, url string) (m embedded.Member, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	members, err := embedded.Members(ctx, client)
	if err != nil {
		return m, false, err
	}
	i := slices.IndexFunc(members, func(m embedded.Member) bool { return m.Name == id.String() })
	if i < 0 {
		i = slices.IndexFunc(members, func(m embedded.Member) bool { return m.Name == "" && slices.Contains(m.URLs, url) })
	}
	if i < 0 {
		return m, false, nil
	}
	return members[i], true, nil
}

// promoteMember gives a member its vote, as soon as it has caught up.
func promoteMember(ctx context.Context, client *clientv3.Client, id NodeID, url string) error {
	m, ok, err := findMember(ctx, client, id, url)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("node %s is not a member of etcd", id)
	case !m.Learner:
		return nil
	}
	return embedded.Promote(ctx, client, m.ID)
}

// removeMember takes a node out of etcd, if it is in.
func removeMember(ctx context.Context, client *clientv3.Client, id NodeID, url string) error {
	m, ok, err := findMember(ctx, client, id, url)
	if err != nil || !ok {
		return err
	}
	return embedded.Remove(ctx, client, m.ID)
}

// moveMember tells etcd a member's new address.
func moveMember(ctx context.Context, client *clientv3.Client, id NodeID, url string) error {
	m, ok, err := findMember(ctx, client, id, url)
	if err != nil || !ok || slices.Equal(m.URLs, []string{url}) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err = client.MemberUpdate(ctx, m.ID, []string{url})
	return err
}
