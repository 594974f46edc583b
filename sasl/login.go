// SPDX-License-Identifier: EUPL-1.2

package sasl

// login is the LOGIN mechanism. Outlook looks at the prompts: they are the ones
// that its own server has always sent.
type login struct {
	check func(login, password string) error
	asked int // 1 the name, 2 the password
	name  string
}

// Next implements sasl.Server. An initial response carries the name.
func (s *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.asked == 0 && response == nil:
		s.asked = 1
		return []byte("Username:"), false, nil
	case s.asked < 2:
		s.asked, s.name = 2, string(response)
		return []byte("Password:"), false, nil
	case s.asked == 2:
		s.asked = 3
		return nil, true, s.check(s.name, string(response))
	}
	return nil, true, malformed("a response that nobody asked for")
}
