package limit

import "time"

// A Rate is how much there is in a second, and how much at once by who has not
// taken anything for long. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     float64 // 0: twice of PerSecond
}

func (r Rate) burst() float64 {
	if r.Burst > 0 {
		return r.Burst
	}
	return 2 * r.PerSecond
}

// bucket holds what is left of a rate. The zero bucket is full.
type bucket struct {
	spent float64 // of the burst, at the time at; more than the burst is debt
	at    time.Duration
}

// flow gives back what has come in since it was last looked at.
func (b *bucket) flow(r Rate, now time.Duration) {
	if now > b.at {
		b.spent = max(0, b.spent-r.PerSecond*(now-b.at).Seconds())
		b.at = now
	}
}

// take takes n and returns how long it takes until the debt is paid.
func (b *bucket) take(r Rate, now time.Duration, n float64) time.Duration {
	if r.PerSecond <= 0 {
		return 0
	}
	b.flow(r, now)
	b.spent += n
	return b.wait(r)
}

func (b *bucket) wait(r Rate) time.Duration {
	debt := b.spent - r.burst()
	if debt <= 0 {
		return 0
	}
	// A debt that takes years is as good as one of an hour.
	return time.Duration(min(debt/r.PerSecond, 3600) * float64(time.Second))
}

// give takes back a take.
func (b *bucket) give(r Rate, n float64) {
	if r.PerSecond > 0 {
		b.spent = max(0, b.spent-n)
	}
}

// full reports that the bucket says no more than the zero bucket.
func (b *bucket) full(r Rate, now time.Duration) bool {
	if r.PerSecond <= 0 {
		return true
	}
	b.flow(r, now)
	return b.spent == 0
}
