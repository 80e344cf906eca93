package polygraph

import "slices"

// components numbers the strongly connected components of a graph (Tarjan, "Depth-First Search and Linear Graph
// Algorithms", 1972), without recursion.
func components(n int, lists ...[]Edge) (component []int32, count int) {
	off := make([]uint32, n+1)
	for _, list := range lists {
		for _, e := range list {
			off[e.From+1]++
		}
	}
	for v := range n {
		off[v+1] += off[v]
	}
	to := make([]uint32, off[n])
	next := slices.Clone(off[:n])
	for _, list := range lists {
		for _, e := range list {
			to[next[e.From]] = e.To
			next[e.From]++
		}
	}
	copy(next, off[:n])
	component = make([]int32, n)
	index, low := make([]uint32, n), make([]uint32, n) // index 0: not visited
	for v := range component {
		component[v] = -1
	}
	var stack, path []uint32
	var clock uint32
	for root := range uint32(n) {
		if index[root] != 0 {
			continue
		}
		path = append(path, root)
		for len(path) > 0 {
			v := path[len(path)-1]
			if index[v] == 0 {
				clock++
				index[v], low[v] = clock, clock
				stack = append(stack, v)
			}
			if next[v] < off[v+1] {
				w := to[next[v]]
				next[v]++
				if index[w] == 0 {
					path = append(path, w)
				} else if component[w] < 0 {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				low[path[len(path)-1]] = min(low[path[len(path)-1]], low[v])
			}
			if low[v] < index[v] {
				continue
			}
			for {
				w := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				component[w] = int32(count)
				if w == v {
					break
				}
			}
			count++
		}
	}
	return component, count
}
