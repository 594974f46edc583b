// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"

	"pecd/fault"
	"pecd/storage"
)

func testProtections(e *env) {
	put := func(scope, policy string) *storage.PutProtection {
		return &storage.PutProtection{Protection: storage.Protection{Scope: scope, Policy: []byte(policy)}}
	}
	want := func(what, rows string, scopes ...string) {
		e.Helper()
		got := ""
		for _, p := range must(e.Protections(e.ctx, scopes...))(e) {
			got += fmt.Sprintf("%s=%s ", p.Scope, p.Policy)
		}
		equal(e, what, got, rows)
	}
	want("none", "")
	want("none of these", "", "x.it", "m@x.it")
	e.ok(put("X.it", `{"a":1}`), put("m@x.it", `{"b":2}`), put("y.it", `{}`))
	want("all", `m@x.it={"b":2} x.it={"a":1} y.it={} `)
	want("two", `m@x.it={"b":2} x.it={"a":1} `, "x.it", "M@x.it", "z.it")
	e.ok(put("x.it", `{"a":3}`), put("y.it", ""), put("z.it", ""))
	want("replaced and removed", `m@x.it={"b":2} x.it={"a":3} `)
	e.fails(fault.Invalid, put("", "{}"))
	e.fails(fault.Invalid, put("x.it", fmt.Sprintf("%*d", storage.MaxPolicy+1, 1)))
}
