package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Member is one of a cluster.
type Member struct {
	ID      uint64
	Name    string // empty: it was added and has not started yet
	URLs    []string
	Learner bool // it has no vote yet
}

// requestTimeout bounds one attempt at a change of the members.
const requestTimeout = 5 * time.Second

// patiently repeats f while etcd asks for patience: there is no leader at the moment, a member that was added has not come up,
// the change before is too fresh.
func patiently(ctx context.Context, f func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		err := f(attempt)
		cancel()
		if err == nil || !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// is compares errors of etcd, which come as other values from a client in process.
func is(err, target error) bool {
	return errors.Is(err, target) || err.Error() == target.Error() || strings.HasSuffix(err.Error(), "desc = "+target.Error())
}

func passes(err error) bool {
	for _, e := range []error{rpctypes.ErrTooManyLearners, rpctypes.ErrMemberLearnerNotReady, rpctypes.ErrMemberNotEnoughStarted, rpctypes.ErrNotLeader} {
		if is(err, e) {
			return true
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable
}

// Members lists the members, as a majority knows them.
func Members(ctx context.Context, client *clientv3.Client) ([]Member, error) {
	var list []*pb.Member
	err := patiently(ctx, func(ctx context.Context) error {
		r, err := client.MemberList(ctx)
		if err == nil {
			list = r.Members
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("embedded etcd: list the members: %w", err)
	}
	var out []Member
	for _, m := range list {
		out = append(out, Member{m.ID, m.Name, m.PeerURLs, m.IsLearner})
	}
	return out, nil
}

// Add makes name a member, as a learner, that others reach at peerURL, and returns what it has to start with and its number. Called
// again, because the answer was lost or the member did not start, it returns the same. It waits, for as long as ctx allows,
// while etcd does not take changes.
func Add(ctx context.Context, client *clientv3.Client, name, peerURL string) (initialCluster string, id uint64, err error) {
	for {
		members, err := Members(ctx, client)
		if err != nil {
			return "", 0, err
		}
		for _, m := range members {
			switch {
			case m.Name == name && name != "":
				return "", 0, fmt.Errorf("embedded etcd: there is a member %q already, with number %016x, which has started once: if its folder is lost, remove it first", name, m.ID)
			case m.Name == "" && m.Learner && slices.Contains(m.URLs, peerURL):
				return initial(members, m.ID, name), m.ID, nil // an earlier attempt
			}
		}
		if i := slices.IndexFunc(members, func(m Member) bool { return m.Learner }); i >= 0 {
			// It would be refused, but only when it is in etcd's own log already; and a member that starts again tries for ever to reach what it finds there.
			m := members[i]
			if !rest(ctx) {
				return "", 0, fmt.Errorf("embedded etcd: add %s at %s: the member at %s was added before and has no vote yet; start it, or remove it: %w",
					name, peerURL, strings.Join(m.URLs, ", "), ctx.Err())
			}
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		r, err := client.MemberAddAsLearner(attempt, []string{peerURL})
		cancel()
		if err == nil {
			members = nil
			for _, m := range r.Members {
				members = append(members, Member{m.ID, m.Name, m.PeerURLs, m.IsLearner})
			}
			return initial(members, r.Member.ID, name), r.Member.ID, nil
		}
		if !passes(err) {
			if is(err, rpctypes.ErrPeerURLExist) {
				err = fmt.Errorf("%w: another member has the address; remove it, or give this one another", err)
			}
			return "", 0, fmt.Errorf("embedded etcd: add %s at %s: %w", name, peerURL, err)
		}
		if !rest(ctx) {
			return "", 0, fmt.Errorf("embedded etcd: add %s at %s: %w (%w)", name, peerURL, err, ctx.Err())
		}
	}
}

// rest waits a little. It returns false if ctx has ended.
func rest(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

// initial is the list of all members in the form that etcd starts with, in which the new one has its name.
func initial(members []Member, self uint64, name string) string {
	var parts []string
	for _, m := range members {
		n := m.Name
		if m.ID == self {
			n = name
		} else if n == "" {
			n = fmt.Sprintf("%016x", m.ID) // etcd compares addresses only
		}
		for _, u := range m.URLs {
			parts = append(parts, n+"="+u)
		}
	}
	return strings.Join(parts, ",")
}

// Promote gives a learner its vote, as soon as it has caught up, or until ctx ends. One that has a vote keeps it.
func Promote(ctx context.Context, client *clientv3.Client, id uint64) error {
	err := patiently(ctx, func(ctx context.Context) error {
		_, err := client.MemberPromote(ctx, id)
		return err
	})
	if err != nil && !is(err, rpctypes.ErrMemberNotLearner) {
		return fmt.Errorf("embedded etcd: give member %016x a vote: %w", id, err)
	}
	return nil
}

// Remove takes a member out of the cluster, dead or alive; one that runs stops. One that is not there is no error. etcd refuses if
// the others could not go on without it.
func Remove(ctx context.Context, client *clientv3.Client, id uint64) error {
	err := patiently(ctx, func(ctx context.Context) error {
		_, err := client.MemberRemove(ctx, id)
		return err
	})
	if err != nil && !is(err, rpctypes.ErrMemberNotFound) {
		if is(err, rpctypes.ErrMemberNotEnoughStarted) || is(err, rpctypes.ErrUnhealthy) {
			err = fmt.Errorf("%w: without it there would be no majority; start the others first", err)
		}
		return fmt.Errorf("embedded etcd: remove member %016x: %w", id, err)
	}
	return nil
}
