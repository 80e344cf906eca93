package tree

import (
	"math"

	"pgregory.net/rapid"
)

// Generators for the properties. Keys come from few, so that they collide, and from the corners of the order.

var keyGen = rapid.OneOf(
	rapid.SampledFrom([]string{"a", "b", "c", "1", "2", "10", "00", "-1", "-", "z😀", "z\uffff", "z\ue000", "Z", "é", "-Nabc"}),
	rapid.StringMatching(`-?0{0,3}[0-9]{1,11}`),
	rapid.StringOfN(rapid.RuneFrom([]rune("abAZ019-_ ~!\"\\é\u0080\u07ff\u0800\ud7ff\ue000\uffff😀\U00010000\U0010ffff")), 1, 6, -1),
)

var textGen = rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("ab\"\\\n\x01\x1f\x7f\u2028😀")), 0, 200, -1))

var numberGen = rapid.OneOf(
	rapid.Map(rapid.Int64Range(-300, 300), NewInt),
	rapid.Map(rapid.Int64(), NewInt),
	rapid.Map(rapid.Float64(), NewFloat),
	rapid.Map(rapid.Float64Range(-1000, 1000), NewFloat),
	rapid.SampledFrom([]*Node{NewInt(math.MaxInt64), NewInt(math.MinInt64), NewFloat(1 << 63), NewFloat(-(1<<63 + 1<<12)), NewFloat(math.MaxFloat64),
		NewFloat(5e-324), NewFloat(-0.5), NewFloat(1e21), NewFloat(1e-7), NewInt(1<<53 + 1)}),
).Filter(func(n *Node) bool { return n != nil })

var leafGen = rapid.OneOf(numberGen, rapid.Map(rapid.Bool(), NewBool), rapid.Map(textGen, NewString))

var prioGen = rapid.OneOf(rapid.Just[*Node](nil), rapid.Just[*Node](nil), numberGen, rapid.Map(textGen, NewString))

var serverGen = rapid.OneOf(rapid.Just(NewTimestamp()), rapid.Map(numberGen, NewIncrement))

// nodeGen gives nodes, sometimes empty ones, that are at most depth deep.
func nodeGen(depth int, server bool) *rapid.Generator[*Node] {
	return rapid.Custom(func(t *rapid.T) *Node {
		n := bareGen(depth, server).Draw(t, "node")
		prio := prioGen
		if server {
			prio = rapid.OneOf(prioGen, serverGen)
		}
		return n.WithPriority(prio.Draw(t, "priority"))
	})
}

func bareGen(depth int, server bool) *rapid.Generator[*Node] {
	kinds := []*rapid.Generator[*Node]{leafGen}
	if server {
		kinds = append(kinds, serverGen)
	}
	if depth > 0 {
		object := rapid.Custom(func(t *rapid.T) *Node {
			children := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Child {
				return Child{keyGen.Draw(t, "key"), nodeGen(depth-1, server).Draw(t, "child")}
			}), 0, 6).Draw(t, "children")
			return NewObject(children)
		})
		list := rapid.Custom(func(t *rapid.T) *Node {
			var children []Child
			for i := range rapid.IntRange(0, 6).Draw(t, "length") {
				children = append(children, Child{indexKey(i), nodeGen(depth-1, server).Draw(t, "element")})
			}
			return NewObject(children)
		})
		kinds = append(kinds, object, object, list)
	}
	return rapid.OneOf(kinds...)
}

var pathGen = rapid.Map(rapid.SliceOfN(keyGen, 0, 4), func(keys []string) (p Path) {
	for _, key := range keys {
		p = p.Child(key)
	}
	return p
})
