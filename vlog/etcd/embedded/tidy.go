package embedded

import (
	"context"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// tidyEvery is how often a member looks at its file.
const tidyEvery = 10 * time.Second

// tidy does what an operator of etcd does by hand, who cannot reach this one. The quota is compared with the size of the file, in which what was
// deleted and compacted leaves room that is used again but not given back: a file that was full once would refuse writes for ever. So
// the file is made smaller when it is mostly empty and more than half way to the quota; and, now and then, while it is full, when nothing
// is written and etcd's count of what is in use stands still. If that made room the alarm ends.
func (s *Server) tidy(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for full := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.etcd.Server.StoppingNotify():
			return
		case <-tick.C:
		}
		backend := s.etcd.Server.Backend()
		size, used := backend.Size(), backend.SizeInUse()
		alarmed := slices.ContainsFunc(s.etcd.Server.Alarms(), func(a *pb.AlarmMember) bool {
			return a.Alarm == pb.AlarmType_NOSPACE && a.MemberID == s.ID()
		})
		if full++; !alarmed {
			full = 0
		}
		if !(size > s.opts.Quota/2 && used < size/2) && full%6 != 1 {
			continue
		}
		began := time.Now()
		if err := s.Defragment(); err != nil {
			s.opts.Logger.Warn("the embedded etcd's file could not be made smaller", "error", err)
			continue
		}
		now := s.etcd.Server.Backend().Size()
		s.opts.Logger.Info("the embedded etcd's file was made smaller", "from", size, "to", now, "took", time.Since(began).Round(time.Millisecond))
		if alarmed && now < s.opts.Quota/4*3 {
			attempt, cancel := context.WithTimeout(ctx, requestTimeout)
			_, err := s.client.AlarmDisarm(attempt, &clientv3.AlarmMember{MemberID: s.ID(), Alarm: pb.AlarmType_NOSPACE})
			cancel()
			if err == nil {
				s.opts.Logger.Info("the embedded etcd takes writes again")
			}
		}
	}
}
