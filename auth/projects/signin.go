package projects

// SignIn says how users of a project sign in.
type SignIn struct {
	// Email, Anonymous and Custom turn these ways on or off; nil is on.
	Email     *bool `json:"email,omitempty"`
	Anonymous *bool `json:"anonymous,omitempty"`
	Custom    *bool `json:"custom,omitempty"`
}
