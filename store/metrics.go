package store

// Metrics are figures about the store.
type Metrics struct {
	Applied, Durable  uint64 // positions
	DiskBytes         uint64 // of the store's files
	MemTableBytes     uint64
	CacheBytes        int64
	CacheHits         int64 // since the store was opened
	CacheMisses       int64
	Flushes           int64
	Compactions       int64
	CompactionDebt    uint64 // bytes that compactions have yet to move
	ReadAmplification int    // files that a read of one key may have to look into
	Keys              uint64 // estimate
}

// Metrics returns the present figures.
func (s *Store) Metrics() Metrics {
	m := s.db.Metrics()
	return Metrics{
		Applied:           s.Applied(),
		Durable:           s.Durable(),
		DiskBytes:         m.DiskSpaceUsage(),
		MemTableBytes:     m.MemTable.Size,
		CacheBytes:        m.BlockCache.Size,
		CacheHits:         m.BlockCache.Hits,
		CacheMisses:       m.BlockCache.Misses,
		Flushes:           m.Flush.Count,
		Compactions:       m.Compact.Count,
		CompactionDebt:    m.Compact.EstimatedDebt,
		ReadAmplification: m.ReadAmp(),
	}
}
