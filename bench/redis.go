package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// redisWrites measures, for comparison, Redis with a sync before every answer, driven by its
// own benchmark program with as many connections, each waiting for its answer.
func redisWrites(ctx context.Context, r *Report, dir string, connections int, d time.Duration, ours float64) error {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("%w: install Redis (package redis-server), or leave out --redis", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	tmp, err := os.MkdirTemp(dir, "redis-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, server, "--port", port, "--bind", "127.0.0.1", "--dir", tmp,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "")
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	if err := awaitPort(ctx, "127.0.0.1:"+port); err != nil {
		return err
	}
	requests := int(ours * d.Seconds() / 2)
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", "127.0.0.1", "-p", port, "-t", "set",
		"-c", strconv.Itoa(connections), "-n", strconv.Itoa(max(requests, 10_000)),
		"-d", strconv.Itoa(payloadBytes), "-r", "10000000", "--csv").Output()
	if err != nil {
		return fmt.Errorf("redis-benchmark: %w", err)
	}
	m := regexp.MustCompile(`"SET","([0-9.]+)"`).FindSubmatch(out)
	if m == nil {
		return errors.New("redis-benchmark printed no figure for SET")
	}
	theirs, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d durable writers", connections)
	r.add(name, "Redis, appendfsync always", theirs, "1/s", "")
	r.add(name, "ratio to Redis", ours/theirs, "", ">= 1.5")
	return nil
}

func awaitPort(ctx context.Context, addr string) error {
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("nothing listens on %s", addr)
}
