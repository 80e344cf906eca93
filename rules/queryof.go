package rules

import "rebase/query"

// queryValue is a property of query. A nil q is a read without one.
func queryValue(q *query.Query, what queryProperty) val {
	if q == nil {
		q = &noQuery
	}
	// Priority is the protocol's default order: that a client asked for it shows
	// only in bounds that are values.
	kind := q.Index.Kind
	if kind == query.ByPriority && !bounded(q.Start) && !bounded(q.End) {
		kind = query.ByKey
	}
	switch what {
	case qOrderByKey:
		return boolVal(kind == query.ByKey)
	case qOrderByPriority:
		return boolVal(kind == query.ByPriority)
	case qOrderByValue:
		return boolVal(kind == query.ByValue)
	case qOrderByChild:
		if kind == query.ByChild {
			return stringVal(string(q.Index.Path))
		}
	case qStartAt:
		return boundValue(q, q.Start)
	case qEndAt:
		return boundValue(q, q.End)
	case qEqualTo:
		if q.Start == nil || q.End == nil || !q.Start.Inclusive || !q.End.Inclusive {
			break
		}
		if from, to := boundValue(q, q.Start), boundValue(q, q.End); equal(from, to) {
			return from
		}
	case qLimitToFirst:
		if q.Limit > 0 && !q.Last {
			return intVal(int64(q.Limit))
		}
	case qLimitToLast:
		if q.Limit > 0 && q.Last {
			return intVal(int64(q.Limit))
		}
	}
	return val{}
}

var noQuery query.Query

func bounded(b *query.Bound) bool { return b != nil && b.Value != nil }

func boundValue(q *query.Query, b *query.Bound) val {
	switch {
	case b == nil:
		return val{}
	case q.Index.Kind != query.ByKey:
		return leafVal(b.Value)
	case b.Key == query.MinName || b.Key == query.MaxName:
		return val{}
	}
	return stringVal(b.Key)
}
