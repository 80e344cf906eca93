package harness

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// wire is an Ethernet switch in this process. The kernel's own bridge can neither lose nor delay frames without modules that
// many kernels lack, and a proxy for TCP would not be a network: connections would survive cuts, and data
// that is acknowledged would be lost.
//
// A port is one end of a pair of virtual interfaces whose other end is a host's. Frames come and go through a packet socket, with
// the header that lets large segments and unfinished checksums pass as they are. The last byte of a frame's destination is
// the number of the port that it is for; frames to all are dropped.
type wire struct {
	mu    sync.Mutex
	ports map[int]*os.File
	links map[[2]int]*link
	done  sync.WaitGroup
}

// link is a way from one port to another, and the frames that are on it.
type link struct {
	Link
	queue chan frame // nil until the link has delayed something
	last  time.Time  // when the last frame of the queue is due
}

type frame struct {
	due  time.Time
	data []byte
}

// mac is the address of the host at a port.
func mac(port int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, byte(port)} }

const (
	vnetHeader = 10             // struct virtio_net_hdr
	maxFrame   = 1 << 18        // with its header
	onTheWay   = 4096           // frames; more are dropped, as by a full queue
	socketRoom = 16 << 20       // bytes
	ethernet   = 14             // bytes of its header
	allFrames  = unix.ETH_P_ALL // protocol of packet sockets
)

func newWire() *wire {
	return &wire{ports: map[int]*os.File{}, links: map[[2]int]*link{}}
}

// plug connects a port to an interface.
func (w *wire) plug(port int, name string) error {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, allFrames))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	for _, o := range []struct {
		level, option, value int
		optional             bool
	}{
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1, false},
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1, false},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketRoom, true},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketRoom, true},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil && !o.optional {
			unix.Close(fd)
			return fmt.Errorf("packet socket, option %d: %w", o.option, err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: ifc.Index}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("packet socket on %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	w.mu.Lock()
	w.ports[port] = f
	w.mu.Unlock()
	w.done.Go(func() { w.forward(port, f) })
	return nil
}

// forward takes what comes in at a port to where it goes, until the port is closed.
func (w *wire) forward(from int, f *os.File) {
	buf := make([]byte, maxFrame)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		if n < vnetHeader+ethernet {
			continue
		}
		data := buf[:n]
		to := data[vnetHeader : vnetHeader+6]
		if to[0] != 2 || to[4] != 0 { // to all, or to many
			continue
		}
		w.send(from, int(to[5]), data)
	}
}

func (w *wire) send(from, to int, data []byte) {
	w.mu.Lock()
	out := w.ports[to]
	l := w.links[[2]int{from, to}]
	if out == nil || l != nil && (l.Cut || l.Loss > 0 && rand.Float64() < l.Loss) {
		w.mu.Unlock()
		return
	}
	if l == nil || l.queue == nil && l.Delay <= 0 && l.Jitter <= 0 {
		w.mu.Unlock()
		out.Write(data) // what it does not take is lost, as on any wire
		return
	}
	if l.queue == nil {
		l.queue = make(chan frame, onTheWay)
		w.done.Go(func() { deliver(l.queue, out) })
	}
	due := time.Now().Add(l.Delay)
	if l.Jitter > 0 {
		due = due.Add(rand.N(l.Jitter))
	}
	if due.Before(l.last) {
		due = l.last
	}
	l.last = due
	select {
	case l.queue <- frame{due, append([]byte(nil), data...)}:
	default:
	}
	w.mu.Unlock()
}

// deliver hands over frames when they are due.
func deliver(queue <-chan frame, out *os.File) {
	for f := range queue {
		time.Sleep(time.Until(f.due))
		out.Write(f.data)
	}
}

// set replaces what is true of a link. Frames that are on their way arrive.
func (w *wire) set(from, to int, l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := [2]int{from, to}
	if w.links[at] == nil {
		w.links[at] = &link{}
	}
	w.links[at].Link = l
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		l.Link = Link{}
	}
}

func (w *wire) close() {
	w.mu.Lock()
	for _, f := range w.ports {
		f.Close()
	}
	for _, l := range w.links {
		if l.queue != nil {
			close(l.queue)
		}
	}
	clear(w.ports)
	clear(w.links)
	w.mu.Unlock()
	w.done.Wait()
}
