package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The members of the embedded etcd are the database nodes, each under its number. A new one is a learner first, which has no vote: a member that
// does not come up must not cost the majority.

func findMember(list []*etcdserverpb.Member, id NodeID, peerURL string) *etcdserverpb.Member {
	for _, m := range list {
		if m.Name == id.String() {
			return m
		}
	}
	for _, m := range list { // one that was added and has not yet started has no name
		if m.Name == "" && len(m.PeerURLs) == 1 && m.PeerURLs[0] == peerURL {
			return m
		}
	}
	return nil
}

// addMember makes a node a member of etcd, if it is none, and returns with which members it is to start. It waits for as long as ctx allows
// while etcd wants it to: one node joins at a time, and some seconds after the one before.
func addMember(ctx context.Context, client *clientv3.Client, id NodeID, peerURL string, say func(string)) (initial string, err error) {
	for {
		initial, err = tryAddMember(ctx, client, id, peerURL)
		waits := errors.Is(err, rpctypes.ErrTooManyLearners) || errors.Is(err, rpctypes.ErrUnhealthy) || errors.Is(err, rpctypes.ErrMemberNotEnoughStarted) || errors.Is(err, rpctypes.ErrNoLeader)
		if err == nil || !waits || ctx.Err() != nil {
			return initial, err
		}
		say(err.Error())
		sleep(ctx, 250*time.Millisecond)
	}
}

func tryAddMember(ctx context.Context, client *clientv3.Client, id NodeID, peerURL string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := client.MemberList(ctx)
	if err != nil {
		return "", err
	}
	members := list.Members
	self := findMember(members, id, peerURL)
	if self == nil {
		added, err := client.MemberAddAsLearner(ctx, []string{peerURL})
		if err != nil {
			return "", err
		}
		self, members = added.Member, added.Members
	}
	var parts []string
	for _, m := range members {
		name := m.Name
		if m.ID == self.ID {
			name = id.String()
		} else if name == "" {
			name = fmt.Sprintf("joining-%x", m.ID)
		}
		for _, u := range m.PeerURLs {
			parts = append(parts, name+"="+u)
		}
	}
	return strings.Join(parts, ","), nil
}

// promoteMember gives a member its vote. Until it has caught up etcd refuses; done says whether it has a vote now.
func promoteMember(ctx context.Context, client *clientv3.Client, id NodeID) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := client.MemberList(ctx)
	if err != nil {
		return false, err
	}
	m := findMember(list.Members, id, "")
	switch {
	case m == nil:
		return false, fmt.Errorf("node %s is not a member of etcd", id)
	case !m.IsLearner:
		return true, nil
	}
	_, err = client.MemberPromote(ctx, m.ID)
	return err == nil || errors.Is(err, rpctypes.ErrMemberNotLearner), err
}

// removeMember takes a node out of etcd, if it is in.
func removeMember(ctx context.Context, client *clientv3.Client, id NodeID, peerURL string) error {
	for {
		err := tryRemoveMember(ctx, client, id, peerURL)
		if !errors.Is(err, rpctypes.ErrUnhealthy) && !errors.Is(err, rpctypes.ErrMemberNotEnoughStarted) || ctx.Err() != nil {
			return err
		}
		sleep(ctx, 250*time.Millisecond)
	}
}

func tryRemoveMember(ctx context.Context, client *clientv3.Client, id NodeID, peerURL string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	m := findMember(list.Members, id, peerURL)
	if m == nil {
		return nil
	}
	_, err = client.MemberRemove(ctx, m.ID)
	if errors.Is(err, rpctypes.ErrMemberNotFound) {
		return nil
	}
	return err
}

// moveMember tells etcd a member's new address.
func moveMember(ctx context.Context, client *clientv3.Client, id NodeID, peerURL string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	m := findMember(list.Members, id, peerURL)
	if m == nil || len(m.PeerURLs) == 1 && m.PeerURLs[0] == peerURL {
		return nil
	}
	_, err = client.MemberUpdate(ctx, m.ID, []string{peerURL})
	return err
}

// metaLeader returns the node whose member leads etcd; 0 if there is none, or it is an external one.
func metaLeader(ctx context.Context, client *clientv3.Client) (NodeID, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	status, err := client.Status(ctx, "")
	if err != nil {
		return 0, err
	}
	list, err := client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return 0, err
	}
	var id NodeID
	for _, m := range list.Members {
		if m.ID == status.Leader {
			_ = id.UnmarshalText([]byte(m.Name)) // others have other names
		}
	}
	return id, nil
}
