package server

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"rebase/cluster"
	"rebase/gateway/rest"
	"rebase/vlog"
	"rebase/vlog/local"
)

// metrics are the server's figures for /_rebase/metrics. Those that parts count
// themselves are read when they are asked for; the others are counted by hooks.
type metrics struct {
	registry *prometheus.Registry
	appended atomic.Int64 // bytes added to the log

	groupEntries, groupBytes     prometheus.Histogram
	writeSeconds, syncSeconds    prometheus.Histogram
	appendSeconds, applySeconds  prometheus.Histogram
	checkpointSeconds            prometheus.Histogram
	reconfigureSeconds           prometheus.Histogram
	stallSeconds                 prometheus.Histogram
	chainChanges                 *prometheus.CounterVec
	requests                     *prometheus.CounterVec
	requestSeconds               *prometheus.HistogramVec
	responseBytes, streamResyncs prometheus.Counter
	streams                      prometheus.Gauge
}

// latencies are the bounds of histograms of times: from what a cache answers to
// what makes a person look up.
var latencies = prometheus.ExponentialBuckets(50e-6, 2, 18) // 50 µs … 6.5 s

func newMetrics(version string) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	f := factory{m.registry}
	m.groupEntries = f.histogram("rebase_log_group_entries", "Entries that reached the disk with one sync.", prometheus.ExponentialBuckets(1, 2, 14))
	m.groupBytes = f.histogram("rebase_log_group_bytes", "Bytes that reached the disk with one sync.", prometheus.ExponentialBuckets(256, 4, 12))
	m.writeSeconds = f.histogram("rebase_log_write_seconds", "Time of one write to the log.", latencies)
	m.syncSeconds = f.histogram("rebase_log_sync_seconds", "Time of one sync of the log.", latencies)
	m.appendSeconds = f.histogram("rebase_log_append_seconds", "Time until a group of operations is durable in the log, waiting for the group before it included.", latencies)
	m.applySeconds = f.histogram("rebase_apply_seconds", "Time to apply a group of log entries: decide, store, tell the listeners and answer.", latencies)
	m.checkpointSeconds = f.histogram("rebase_checkpoint_seconds", "Time of one flush of the store and trim of the log.", latencies)
	m.reconfigureSeconds = f.histogram("rebase_log_reconfigure_seconds", "Time of a change of the log's chain by this server.", latencies)
	m.stallSeconds = f.histogram("rebase_log_stall_seconds", "Time in which nothing could be appended because this server moved the log to another loglet.", latencies)
	m.chainChanges = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rebase_log_chain_changes_total", Help: "Changes of the log's chain that this server has made, or has followed."}, []string{"change"})
	m.registry.MustRegister(m.chainChanges)
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rebase_rest_requests_total", Help: "REST requests answered; method STREAM is a stream of events that has ended, status 499 a client that did not wait."}, []string{"method", "status"})
	m.requestSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rebase_rest_request_seconds", Help: "Time to answer a REST request, streams of events not counted.", Buckets: latencies}, []string{"method"})
	m.responseBytes = f.counter("rebase_rest_response_bytes_total", "Bytes of REST responses.")
	m.streamResyncs = f.counter("rebase_rest_stream_resyncs_total", "REST streams that were too slow and got the whole data again.")
	m.streams = prometheus.NewGauge(prometheus.GaugeOpts{Name: "rebase_rest_streams", Help: "REST streams open now."})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rebase_info", Help: "Always 1; the label tells the version."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.requestSeconds, m.streams, info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// commit is the log's hook.
func (m *metrics) commit(c local.Commit) {
	if c.Err != nil {
		return
	}
	m.appended.Add(int64(c.Bytes))
	m.groupEntries.Observe(float64(c.Entries))
	m.groupBytes.Observe(float64(c.Bytes))
	m.writeSeconds.Observe(c.Write.Seconds())
	m.syncSeconds.Observe(c.Sync.Seconds())
}

// reconfigured is the virtual log's hook.
func (m *metrics) reconfigured(r vlog.Reconfigured) {
	m.chainChanges.WithLabelValues(string(r.Kind)).Inc()
	if r.Took > 0 {
		m.reconfigureSeconds.Observe(r.Took.Seconds())
	}
	if r.Stalled > 0 {
		m.stallSeconds.Observe(r.Stalled.Seconds())
	}
}

// applied is the database's hook.
func (m *metrics) applied(_ int, took time.Duration) { m.applySeconds.Observe(took.Seconds()) }

// request is the REST gateway's hook.
func (m *metrics) request(method string, status int, took time.Duration, bytesOut int64) {
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Inc()
	if method != rest.MethodStream {
		m.requestSeconds.WithLabelValues(method).Observe(took.Seconds())
	}
	m.responseBytes.Add(float64(bytesOut))
}

type factory struct{ r *prometheus.Registry }

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	f.r.MustRegister(h)
	return h
}

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	f.r.MustRegister(c)
	return c
}

// reading is a metric that is read when it is asked for.
type reading struct {
	name, help string
	kind       prometheus.ValueType
}

// readings are metrics of which one call reads many: the call is made once for
// each scrape.
type readings struct {
	descs []*prometheus.Desc
	kinds []prometheus.ValueType
	read  func() []float64 // in the order of descs
}

var _ prometheus.Collector = (*readings)(nil)

func newReadings(read func() []float64, list ...reading) *readings {
	r := &readings{read: read}
	for _, m := range list {
		r.descs = append(r.descs, prometheus.NewDesc(m.name, m.help, nil, nil))
		r.kinds = append(r.kinds, m.kind)
	}
	return r
}

// Describe implements prometheus.Collector.
func (r *readings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *readings) Collect(ch chan<- prometheus.Metric) {
	for i, v := range r.read() {
		ch <- prometheus.MustNewConstMetric(r.descs[i], r.kinds[i], v)
	}
}

// observeCluster adds the figures of a node of a cluster.
func (m *metrics) observeCluster(c *cluster.Cluster) {
	const (
		total = prometheus.CounterValue
		now   = prometheus.GaugeValue
	)
	m.registry.MustRegister(
		newReadings(func() []float64 {
			s, n := c.Stats(), c.Native().Stats()
			alive, known := 0, 0
			for _, m := range c.Members() {
				if m.State == cluster.Left {
					continue
				}
				known++
				if m.Alive || m.Self {
					alive++
				}
			}
			return []float64{
				float64(known), float64(alive), float64(s.Refused), float64(s.Suspicions), float64(s.Reconfigurations), float64(s.Failed), float64(s.NodesGone),
				float64(n.Handles), float64(n.Sequencers), float64(n.Connections), float64(n.QueuedBytes), float64(n.BytesOut), float64(n.Writes), float64(n.FramesIn),
				float64(n.Repeats), float64(n.DroppedFull), float64(n.DroppedUnreachable), float64(n.DroppedReads),
			}
		},
			reading{"rebase_cluster_nodes", "Nodes of the cluster.", now},
			reading{"rebase_cluster_nodes_alive", "Of those, the ones that this node hears.", now},
			reading{"rebase_cluster_connections_refused_total", "Connections to the peer port that were refused, mostly for a wrong secret.", total},
			reading{"rebase_cluster_suspicions_total", "Times that a node was taken for dead.", total},
			reading{"rebase_cluster_reconfigurations_total", "Times that this node has moved the log because of nodes that came, went or died.", total},
			reading{"rebase_cluster_reconfigurations_failed_total", "Of those, the ones without success.", total},
			reading{"rebase_cluster_nodes_gone_total", "Times that sessions of clients were ended because their node was gone.", total},
			reading{"rebase_native_handles", "Native loglets that this node uses.", now},
			reading{"rebase_native_sequencers", "Native loglets that this node orders.", now},
			reading{"rebase_peer_connections", "Connections of the log to other nodes.", now},
			reading{"rebase_peer_queued_bytes", "Bytes that wait to be sent to other nodes.", now},
			reading{"rebase_peer_sent_bytes_total", "Bytes sent to other nodes.", total},
			reading{"rebase_peer_writes_total", "System calls with which they were sent.", total},
			reading{"rebase_peer_frames_received_total", "Frames received from other nodes.", total},
			reading{"rebase_native_repeats_total", "Messages sent again because there was no answer.", total},
			reading{"rebase_peer_dropped_full_total", "Messages dropped because too much waited to be sent; they are sent again.", total},
			reading{"rebase_peer_dropped_unreachable_total", "Messages dropped because the node could not be reached.", total},
			reading{"rebase_native_dropped_reads_total", "Reads by other nodes that were dropped because too many were under way.", total},
		),
	)
}

// observeReplica adds the figures of a replica in a cluster.
func (m *metrics) observeReplica(p *member) {
	const now = prometheus.GaugeValue
	m.registry.MustRegister(newReadings(func() []float64 {
		diverged, behind := p.health()
		draining := 0.0
		if p.draining.Load() {
			draining = 1
		}
		return []float64{float64(diverged), float64(behind), draining}
	},
		reading{"rebase_cluster_diverged", "Replicas whose state differs from that of the others: they have to be replaced.", now},
		reading{"rebase_cluster_behind", "Log entries that this node has yet to apply, compared with the furthest of the others.", now},
		reading{"rebase_cluster_draining", "1 while this node is drained.", now},
	))
}

// observeData adds the figures that the database, the hub, the log and the
// store keep themselves.
func (m *metrics) observeData(d *data, logBytes func() int64) {
	const (
		total = prometheus.CounterValue
		now   = prometheus.GaugeValue
	)
	m.registry.MustRegister(
		newReadings(func() []float64 {
			s := d.db.Stats()
			return []float64{
				float64(s.Proposed), float64(s.Groups), float64(s.Applied), float64(s.Refused), float64(s.Denied), float64(s.Stale),
				float64(s.Replayed), float64(s.Position), float64(s.Sessions), float64(s.QueuedBytes),
			}
		},
			reading{"rebase_db_proposals_total", "Operations taken from clients.", total},
			reading{"rebase_db_groups_total", "Appends to the log; proposals per group is the mean size of a group.", total},
			reading{"rebase_db_applied_total", "Log entries applied.", total},
			reading{"rebase_db_refused_total", "Operations that the state refused.", total},
			reading{"rebase_db_denied_total", "Operations that the rules did not allow.", total},
			reading{"rebase_db_stale_total", "Conditional writes whose condition did not hold.", total},
			reading{"rebase_db_replays_suppressed_total", "Writes that a client sent again and that had been applied before.", total},
			reading{"rebase_db_position", "Position of the last log entry applied.", now},
			reading{"rebase_db_sessions", "Client sessions that are alive.", now},
			reading{"rebase_db_queued_bytes", "Bytes of operations that wait to be applied.", now},
		),
		newReadings(func() []float64 {
			s := d.hub.Stats()
			return []float64{float64(s.Listeners), float64(s.Views), float64(s.Events), float64(s.Deliveries), float64(s.Revoked)}
		},
			reading{"rebase_live_listeners", "Listeners: pairs of a client and a place or query.", now},
			reading{"rebase_live_views", "Query results kept up to date; listeners of equal queries share one.", now},
			reading{"rebase_live_events_total", "Events made for listeners.", total},
			reading{"rebase_live_deliveries_total", "Events handed to listeners.", total},
			reading{"rebase_live_revoked_total", "Listeners ended because they may not read any more.", total},
		),
		newReadings(func() []float64 {
			s := d.store.Metrics()
			return []float64{
				float64(s.Applied), float64(s.Durable), float64(s.DiskBytes), float64(s.MemTableBytes), float64(s.CacheBytes),
				float64(s.CacheHits), float64(s.CacheMisses), float64(s.Flushes), float64(s.Compactions),
				float64(s.CompactionDebt), float64(s.ReadAmplification),
			}
		},
			reading{"rebase_store_applied_position", "Log position of the last batch.", now},
			reading{"rebase_store_durable_position", "Log position from which a crash would replay.", now},
			reading{"rebase_store_disk_bytes", "Size of the store's files.", now},
			reading{"rebase_store_memtable_bytes", "Size of what the store has not flushed.", now},
			reading{"rebase_store_cache_bytes", "Size of the store's cache.", now},
			reading{"rebase_store_cache_hits_total", "Blocks found in the cache.", total},
			reading{"rebase_store_cache_misses_total", "Blocks read from the disk.", total},
			reading{"rebase_store_flushes_total", "Flushes of the store.", total},
			reading{"rebase_store_compactions_total", "Compactions of the store.", total},
			reading{"rebase_store_compaction_debt_bytes", "Bytes that compactions have yet to move.", now},
			reading{"rebase_store_read_amplification", "Files that reading one key may have to look into.", now},
		),
		newReadings(func() []float64 {
			c := d.log.Chain()
			return []float64{float64(len(c.Segments)), float64(c.First()), float64(c.Active().ID)}
		},
			reading{"rebase_log_loglets", "Loglets of which the log consists.", now},
			reading{"rebase_log_first_position", "First position of the oldest of them.", now},
			reading{"rebase_log_active_loglet", "Number of the loglet that takes appends; it rises with every reconfiguration.", now},
		),
		newReadings(func() []float64 { return []float64{float64(logBytes()), float64(m.appended.Load())} },
			reading{"rebase_log_disk_bytes", "Size of the log's files.", now},
			reading{"rebase_log_appended_bytes_total", "Bytes added to the log by this process.", total},
		),
	)
}
