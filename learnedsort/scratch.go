package learnedsort

import "sync"

// sorter is the state of one sort: scratch memory, the way taken and the work done.
type sorter[T item] struct {
	buf   []T
	ids   []uint16
	count [levels + 1][]uint32
	ends  [maxRuns]int

	way  way
	work int // visits of keys, an upper bound where counting them would cost
}

// Scratch memory is kept for the next sort. It would be garbage after each, and stay about as long; but fresh memory costs
// short sorts a third of their time in collections, and long ones a fifth in page faults. The pool lets go of what is not used
// for two collections. What is larger than maxKept bytes is let go at once.
const maxKept = 128 << 20

var keySorters, itemSorters sync.Pool

func newSorter[T item](pool *sync.Pool) *sorter[T] {
	if s, ok := pool.Get().(*sorter[T]); ok {
		return s
	}
	return new(sorter[T])
}

func (s *sorter[T]) release(pool *sync.Pool) {
	if cap(s.buf)*itemSize[T]() <= maxKept {
		s.work = 0
		pool.Put(s)
	}
}

// scratch returns n items of any content.
func (s *sorter[T]) scratch(n int) []T {
	if cap(s.buf) < n {
		s.buf = make([]T, n)
	}
	return s.buf[:n]
}

// bucketIDs returns n numbers of any content.
func (s *sorter[T]) bucketIDs(n int) []uint16 {
	if cap(s.ids) < n {
		s.ids = make([]uint16, n)
	}
	return s.ids[:n]
}

// counters returns n zeroes. Each level has its own, since those of the level above are in use.
func (s *sorter[T]) counters(level, n int) []uint32 {
	if cap(s.count[level]) < n {
		s.count[level] = make([]uint32, n+n/4)
		return s.count[level][:n]
	}
	count := s.count[level][:n]
	clear(count)
	return count
}
