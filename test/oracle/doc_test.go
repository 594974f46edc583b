// SPDX-License-Identifier: EUPL-1.2

// Package oracle tries the pipeline with random sequences of sends, failures,
// duplicates, delays, replays and crashes, and lets an oracle judge what comes
// of them: the invariants of certified mail per transaction (RFC 6109 §3).
//
// The oracle knows nothing of the pipeline. It keeps its own record of what
// clients and peers were told: the answers to submissions, the messages in the
// mailboxes, the octets on the network, the log. It reads messages with a
// reader of its own on the standard library, and signatures with another CMS
// library than the program's.
//
// PECD_SEED=n repeats one world, PECD_LONG=1 runs twenty times as many steps.
package oracle
