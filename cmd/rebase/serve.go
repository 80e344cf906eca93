package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"rebase/cluster"
	"rebase/console/demo"
	"rebase/server"
)

type serveCmd struct {
	Listen        string `default:"127.0.0.1:9000" help:"Address to serve on, ${default} if not given; port 0 picks a free one." placeholder:"HOST:PORT"`
	Data          string `default:"./rebase-data" type:"path" help:"Folder of the data, ./rebase-data if not given; it is made if it does not exist." placeholder:"DIR"`
	Demo          bool   `help:"Serve a demonstration page, and print its address."`
	Open          *bool  `negatable:"" help:"Be open, for development: believe what callers say of themselves, and let everyone into databases without rules. The default on a loopback address, and refused on others; --no-open closes the server there too."`
	PublicURL     string `name:"public-url" help:"Address under which apps and services reach the server, for key files of service accounts and links." placeholder:"https://HOST"`
	FirebaseKeys  string `name:"firebase-keys" help:"Where to fetch the keys of Firebase's ID tokens, for a project that believes them: a mirror instead of Google." placeholder:"URL"`
	AppCheckKeys  string `name:"app-check-keys" help:"Where to fetch the keys of App Check, instead of Google." placeholder:"URL"`
	NewRootSecret bool   `help:"Make a new root secret, in the file root-secret of the data folder; the one before is void. A closed server makes its first one by itself."`
	SMTP          string `name:"smtp" help:"Mail server for the mails that users get, smtp://USER:PASSWORD@HOST:587 or smtps://…:465. Better given as REBASE_SMTP: a command line is seen by others." placeholder:"URL"`
	MailFrom      string `name:"mail-from" help:"Sender of these mails, \"App <noreply@example.com>\"." placeholder:"ADDRESS"`
	Project       string `default:"demo-project" help:"In an open server, the project of apps whose API key is not known (${default})." placeholder:"NAME"`
	Debug         bool   `help:"Serve profiles at /_rebase/debug/pprof/ also on a closed server."`
	TLSCert       string `name:"tls-cert" type:"existingfile" help:"Certificate chain, in PEM; turns on HTTPS and WSS." placeholder:"FILE"`
	TLSKey        string `name:"tls-key" type:"existingfile" help:"The certificate's key, in PEM. Both files are read again when they change." placeholder:"FILE"`

	ACMEHost      []string `name:"acme-host" help:"Public host name of this server, for which a certificate is obtained and renewed (Let's Encrypt); turns on HTTPS and WSS. May be repeated." placeholder:"NAME"`
	ACMEEmail     string   `name:"acme-email" help:"Where the certificate authority writes to when something is wrong." placeholder:"ADDRESS"`
	ACMEDirectory string   `name:"acme-directory" help:"Directory of another authority that speaks ACME." placeholder:"URL"`
	ACMECA        string   `name:"acme-ca" type:"existingfile" help:"Certificates, in PEM, by which that authority is trusted itself." placeholder:"FILE"`
	HTTPListen    string   `name:"http-listen" help:"Second address, of plain HTTP, that sends everyone to HTTPS and answers the authority; usually :80." placeholder:"HOST:PORT"`

	LimitDatabase   limitFlag `help:"What all clients of a database may take together: connections=N,operations=N,bytes=SIZE, the last two a second; 0 is no limit, as is none for all. (${limit_database})" placeholder:"LIMITS"`
	LimitConnection limitFlag `help:"What one connection may take: operations=N,bytes=SIZE. (${limit_connection})" placeholder:"LIMITS"`
	LimitUser       limitFlag `help:"What a user may take over all connections. (${limit_user})" placeholder:"LIMITS"`
	LimitAddress    limitFlag `help:"What those at one address may take who have not signed in; not those on this machine. (${limit_address})" placeholder:"LIMITS"`
	LimitWrite      byteSize  `help:"Largest write; the protocol's own limits are 16MiB from SDKs and 256MiB by REST." placeholder:"SIZE"`

	clusterFlags
	Engine engineFlags `embed:"" prefix:"engine-"`

	LogFormat string `enum:"text,json" default:"text" help:"How to write the server's log to standard error: ${enum}."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"What to write to it: ${enum}, and what is worse."`

	LogRetain       byteSize      `default:"256MiB" help:"How much of the operations log to keep behind the last checkpoint (${default})." placeholder:"SIZE"`
	CheckpointEvery time.Duration `default:"30s" help:"Time between checkpoints, which bound what a restart after a crash has to replay (${default})." placeholder:"TIME"`
	Backup          string        `help:"Object store that gets what is trimmed of the log, and snapshots: a folder, or s3://BUCKET/PREFIX?endpoint=HOST:PORT (credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)." placeholder:"URL"`
	Cache           byteSize      `default:"256MiB" help:"Memory for caching stored data (${default})." placeholder:"SIZE"`
	AuditRetain     byteSize      `default:"100MiB" help:"How much of the journal of administrative acts to keep, in the folder audit of the data (${default})." placeholder:"SIZE"`
	Drain           time.Duration `default:"20s" help:"How long to let requests finish when told to end (${default})." placeholder:"TIME"`
}

// Run serves until a signal or a failure.
func (c *serveCmd) Run(ctx context.Context, std streams) error {
	logger := newLogger(std.err, c.LogFormat, c.LogLevel)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// What is wrong with the folder is found out, and said, where it is opened.
	_, belongs, _ := cluster.Belongs(c.Data, nil)
	member, err := c.clusterFlags.options(belongs)
	if err != nil {
		return err
	}
	options := server.Options{
		Cluster: member,
		Listen:  c.Listen, Data: c.Data, Access: c.access(), PublicURL: c.PublicURL, FirebaseKeys: c.FirebaseKeys, AppCheckKeys: c.AppCheckKeys, Mail: server.Mail{SMTP: c.SMTP, From: c.MailFrom}, Project: c.Project, NewRootSecret: c.NewRootSecret, Demo: c.Demo, Debug: c.Debug, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		ACME:       server.ACME{Hosts: c.ACMEHost, Email: c.ACMEEmail, Directory: c.ACMEDirectory, CA: c.ACMECA},
		HTTPListen: c.HTTPListen, AuditRetain: int64(c.AuditRetain),
		LogRetain: int64(c.LogRetain), CheckpointEvery: c.CheckpointEvery, CacheBytes: int64(c.Cache),
		Limits: c.limits, Backup: c.Backup, Engines: c.Engine.access(),
		Logger: logger, Version: version,
	}
	started := make(chan struct{})
	var interrupted atomic.Bool
	if member != nil { // its start waits for other nodes, without end if they do not come
		go func() {
			select {
			case sig := <-signals:
				logger.Info("ending before the start is complete; a second signal ends at once", "signal", sig.String())
				interrupted.Store(true)
				cancel()
				secondSignal(signals, time.Now())
				os.Exit(exitForced)
			case <-started:
			}
		}()
	}
	s, err := start(ctx, options)
	close(started)
	if err != nil && interrupted.Load() {
		logger.Info("ended before the start was complete", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	c.banner(std.out, s)

	select {
	case sig := <-signals:
		logger.Info("ending; a second signal ends at once", "signal", sig.String())
	case <-ctx.Done():
	case <-s.Done():
		logger.Error("the server has failed and ends", "err", s.Err())
	}
	go func() {
		secondSignal(signals, time.Now())
		logger.Warn("ended by a second signal, without waiting; the next start recovers from the log")
		os.Exit(exitForced)
	}()
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), c.Drain)
	defer stop()
	failure := s.Err()
	if err := s.Shutdown(drain); failure == nil {
		failure = err
	}
	if failure != nil {
		return failure
	}
	logger.Info("ended")
	return nil
}

func (c *serveCmd) access() server.Access {
	switch {
	case c.Open == nil:
		return server.AccessDefault
	case *c.Open:
		return server.AccessOpen
	}
	return server.AccessClosed
}

// signalEcho is how soon after the first a further signal is taken for the same one.
// timeout(1), npm and others send a signal to the process and to its group.
const signalEcho = 500 * time.Millisecond

// secondSignal waits for a signal that is not an echo of the one at first.
func secondSignal(signals <-chan os.Signal, first time.Time) {
	for {
		<-signals
		if time.Since(first) >= signalEcho {
			return
		}
	}
}

// running is what was started.
type running interface {
	URL() string
	Open() bool
	Done() <-chan struct{}
	Err() error
	Shutdown(context.Context) error
}

// start starts a server, or the part of one that a node of a cluster is for.
func start(ctx context.Context, o server.Options) (running, error) {
	only, err := server.KeepsLog(o)
	switch {
	case err != nil:
		return nil, err
	case only:
		return server.StartLogServer(ctx, o)
	}
	return server.Start(ctx, o)
}

// banner greets on standard output. Its last line, "listening on URL", is for
// programs that start the server and want to know where it is.
func (c *serveCmd) banner(w io.Writer, s running) {
	_, full := s.(*server.Server)
	if c.LogFormat == "text" && !full {
		fmt.Fprintf(w, "\n  Rebase %s\n\n  This node keeps a part of the cluster's log in %s; clients connect to other nodes.\n\n", version, c.Data)
	} else if c.LogFormat == "text" {
		fmt.Fprintf(w, "\n  Rebase %s\n\n", version)
		row := func(name, value string) { fmt.Fprintf(w, "  %-9s %s\n", name, value) }
		row("server", s.URL())
		row("data", c.Data)
		if c.Demo {
			row("demo", strings.TrimSuffix(s.URL(), "/")+demo.Prefix)
		}
		if s.Open() {
			row("access", "open to every program and every web page on this machine, closed to other machines")
		} else {
			row("access", "closed: credentials are checked, and rules decide; databases without rules are for admins only")
		}
		fmt.Fprintf(w, "\n  In an app:  initializeApp({ databaseURL: %q })\n\n", s.URL()+"/?ns=my-app")
	}
	fmt.Fprintf(w, "listening on %s\n", s.URL())
}

func newLogger(w io.Writer, format, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // the parser has checked it
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
