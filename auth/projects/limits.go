package projects

// Limits bound what the clients of each database of the project take together. 0 is the server's own limit, and
// less than 0 none.
type Limits struct {
	Connections int     `json:"connections,omitempty"` // simultaneous
	Operations  float64 `json:"operations,omitempty"`  // a second
	Bytes       float64 `json:"bytes,omitempty"`       // a second
}
