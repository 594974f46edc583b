// SPDX-License-Identifier: EUPL-1.2

// Package crash takes the built pecd away from under its clients, again and
// again, and holds what is left against what the clients were told
// (docs/durability.md).
//
//   - TestKills: SIGKILL at random instants under mixed load. CRASH_TIME says
//     for how long (20m is `make crash`), CRASH_SEED repeats a run's choices.
//   - TestReplay: the system calls of the real daemon are recorded, and the
//     directories that a loss of power could have left are built from them.
//   - TestAnswerFollowsSync: no 250 before the sync that covers it.
//   - TestFault…: errors of the device, a full disk, a read-only mount, damaged
//     pages, a clock that is set back.
//
// The harness knows the program by its command line and the wire. It reads
// certified messages with the program's own reader, whose judges are elsewhere
// (test, test/oracle), and their signatures with another CMS library.
package crash
