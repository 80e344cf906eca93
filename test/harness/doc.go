// Package harness runs the real server binary for tests, as a process of its own,
// and speaks to it over sockets: it can be killed, stopped and started again on the
// same folder, and its memory is measured from outside.
//
// It promises that every server it has started is gone when its test ends. It
// works on Linux; what it needs of /proc exists nowhere else.
//
// The client in it is thin on purpose. It frames and numbers messages and tells
// answers from pushes, and leaves all else, mistakes included, to the test.
//
// It knows nothing of what is in a message or in a data folder.
package harness
