// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// writeReference prints the commented configuration from the structs: keys,
// defaults and what each means.
func writeReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# pecd configuration reference. Every key with its default; unknown keys are errors.\n" +
		"# Printed by: pecd config reference\n")
	referenceTable(&b, "", reflect.ValueOf(defaultConfig()))
	_, err := io.WriteString(w, b.String())
	return err
}

// referenceTable prints the plain keys of a struct, then its tables: TOML
// wants them in that order.
func referenceTable(b *strings.Builder, prefix string, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("toml")
		if isTables(f.Type) { // one would stand for one more
			fmt.Fprintf(b, "\n# %s\n", f.Tag.Get("doc"))
			continue
		}
		if key == "" || isTable(f.Type) {
			continue
		}
		fmt.Fprintf(b, "\n# %s\n%s = %s\n", f.Tag.Get("doc"), key, tomlValue(v.Field(i)))
	}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("toml")
		if key == "" || !isTable(f.Type) {
			continue
		}
		fmt.Fprintf(b, "\n# %s\n[%s%s]\n", f.Tag.Get("doc"), prefix, key)
		if f.Type.Kind() == reflect.Struct {
			referenceTable(b, prefix+key+".", v.Field(i))
		}
	}
}

func isTable(t reflect.Type) bool { return t.Kind() == reflect.Struct || t.Kind() == reflect.Map }

// isTables says whether a key is an array of tables.
func isTables(t reflect.Type) bool { return t.Kind() == reflect.Slice && isTable(t.Elem()) }

func tomlValue(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return strconv.Quote(shortDuration(d))
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = tomlValue(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration leaves out what is zero: "24h", not "24h0m0s".
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
