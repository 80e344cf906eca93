package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"rebase/gateway/rest"
	"rebase/gateway/rtdb"
)

// rest returns the REST gateway's hooks.
func (m *metrics) rest() rest.Metrics {
	return rest.Metrics{
		Request: m.request,
		Streams: func(delta int) { m.streams.Add(float64(delta)) },
		Resync:  m.streamResyncs.Inc,
	}
}

// connections returns the hooks of the gateway that speaks the SDKs' protocol.
func (m *metrics) connections() rtdb.Metrics {
	f := factory{m.registry}
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "rebase_connections", Help: "Clients connected now, by the transport that they began on."}, []string{"transport"})
	opened := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rebase_connections_total", Help: "Clients that have connected."}, []string{"transport"})
	m.registry.MustRegister(open, opened)
	for _, transport := range []string{"ws", "lp"} { // so that they are there, at 0, from the start
		open.WithLabelValues(transport)
		opened.WithLabelValues(transport)
	}
	return &connectionMetrics{
		open: open, opened: opened,
		messagesIn:  f.counter("rebase_messages_received_total", "Protocol messages from clients."),
		bytesIn:     f.counter("rebase_messages_received_bytes_total", "Bytes of protocol messages from clients."),
		messagesOut: f.counter("rebase_messages_sent_total", "Protocol messages to clients."),
		bytesOut:    f.counter("rebase_messages_sent_bytes_total", "Bytes of protocol messages to clients."),
		resyncs:     f.counter("rebase_resyncs_total", "Slow clients that missed changes and got the whole data again."),
	}
}

type connectionMetrics struct {
	open                                       *prometheus.GaugeVec
	opened                                     *prometheus.CounterVec
	messagesIn, bytesIn, messagesOut, bytesOut prometheus.Counter
	resyncs                                    prometheus.Counter
}

var _ rtdb.Metrics = (*connectionMetrics)(nil)

// ConnOpened implements rtdb.Metrics.
func (c *connectionMetrics) ConnOpened(transport string) {
	c.open.WithLabelValues(transport).Inc()
	c.opened.WithLabelValues(transport).Inc()
}

// ConnClosed implements rtdb.Metrics.
func (c *connectionMetrics) ConnClosed(transport string) { c.open.WithLabelValues(transport).Dec() }

// MessagesIn implements rtdb.Metrics.
func (c *connectionMetrics) MessagesIn(n, bytes int) {
	c.messagesIn.Add(float64(n))
	c.bytesIn.Add(float64(bytes))
}

// MessagesOut implements rtdb.Metrics.
func (c *connectionMetrics) MessagesOut(n, bytes int) {
	c.messagesOut.Add(float64(n))
	c.bytesOut.Add(float64(bytes))
}

// Resync implements rtdb.Metrics.
func (c *connectionMetrics) Resync() { c.resyncs.Inc() }

// Replay implements rtdb.Metrics. The database counts these itself, as
// rebase_db_replays_suppressed_total.
func (c *connectionMetrics) Replay() {}
