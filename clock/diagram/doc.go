// Package diagram draws space-time diagrams as SVG: a horizontal line for each process,
// time from left to right, a dot for each event with its name and stamp, arrows for
// messages. It is the picture that every paper on causality draws.
//
// It works out a layout in which arrows point to the right, and keep away from the dots
// and labels of other events. The same chart gives the same bytes. It knows nothing of
// clocks: labels are text.
package diagram
