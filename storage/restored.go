// SPDX-License-Identifier: EUPL-1.2

package storage

// SetAside is what the kind of a job begins with that a store had when it was
// put back from a copy: nobody takes it, because it may have been done after the
// copy was made. An operator has it resumed under its own kind, or dropped
// (ADR 0012).
const SetAside = "restored:"
