// SPDX-License-Identifier: EUPL-1.2

package ledger

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestFor_6_3: a holder sees all of what he sent, and of what he received his
// own part only (pec-rules §6.3, log extracts).
func TestFor_6_3(t *testing.T) {
	const mario, anna, carla = "mario@alfa.example", "anna@alfa.example", "carla@alfa.example"
	both := []Recipient{{anna, Certified}, {carla, Certified}, {"x@beta.example", Certified}}
	accepted := Event{
		Kind: SubmissionAccepted, ID: "1", Side: Own, Sender: mario, Mailbox: mario, User: "mario", Recipients: both,
		Certified: 3, Channel: SMTP, Peer: "192.0.2.1",
	}
	taken := accepted
	taken.Kind, taken.Recipients = TakenInCharge, both[:2]
	delivered := Event{Kind: Delivered, ID: "1", Side: Own, Sender: mario, Mailbox: anna, Recipients: both[:1], Related: []string{"<r@alfa.example>"}}
	full := Event{Kind: DeliveryFailed, ID: "1", Side: Own, Sender: mario, Recipients: both[1:2], Error: "altro", Detail: "casella piena"}
	fullPart := full
	fullPart.Detail = ""
	relay := Event{Kind: RelayAttempt, ID: "1", Sender: mario, Recipients: both[2:], Peer: "mx.beta.example", Attempt: 3, Next: time.Unix(9, 0)}
	arrived := Event{Kind: EnvelopeReceived, ID: "2", Side: Foreign, Sender: "x@beta.example", Recipients: both[:2], Certified: 2, Peer: "192.0.2.7", Subject: "s"}
	// Another provider says that mario sent it.
	forged := arrived
	forged.Sender = mario
	receipt := Event{Kind: ReceiptReceived, ID: "1", Side: Own, Sender: mario, Mailbox: mario, Recipients: both[:1], Peer: "192.0.2.7"}

	annas := func(e Event) Event {
		e.Recipients, e.Certified, e.Channel, e.Peer, e.User = both[:1], 0, "", "", ""
		if e.Mailbox != anna {
			e.Mailbox = ""
		}
		return e
	}
	for _, c := range []struct {
		name, who string
		in, want  Event
		share     Share
	}{
		{"own submission", "Mario@Alfa.example", accepted, accepted, Whole},
		{"own message's relay", mario, relay, relay, Whole},
		{"own message's delivery to another", mario, delivered, delivered, Whole},
		{"own message's failure", mario, full, full, Whole},
		{"receipt", mario, receipt, receipt, Whole},
		{"somebody's submission", anna, accepted, Event{}, Nothing},
		{"taken in charge for her and others", anna, taken, annas(taken), Part},
		{"delivered to her", anna, delivered, delivered, Part},
		{"delivered to another", carla, delivered, Event{}, Nothing},
		{"failed for another", anna, full, Event{}, Nothing},
		{"failed for her", carla, full, fullPart, Part},
		{"arrived", anna, arrived, annas(arrived), Part},
		{"arrived for others", mario, arrived, Event{}, Nothing},
		{"claimed of him", mario, forged, Event{}, Nothing},
		{"claimed of him, received by her", anna, forged, annas(forged), Part},
		{"receipt that names her", anna, receipt, Event{}, Nothing},
		{"login", mario, Event{Kind: Access, Mailbox: mario, User: "mario"}, Event{}, Nothing},
		{"extract", mario, Event{Kind: LedgerExtracted, Mailbox: mario, Actor: "root"}, Event{}, Nothing},
		{"usage", mario, Event{Kind: UsageSample, Mailbox: mario}, Event{}, Nothing},
	} {
		got, share := c.in.For(c.who)
		if share != c.share || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: share %d, %+v\nwant %d, %+v", c.name, share, got, c.share, c.want)
		}
	}
}

// TestForKinds_6_3: every kind is either about messages or shown to nobody, even
// where all its fields name the holder. A new kind has to be put into one list.
func TestForKinds_6_3(t *testing.T) {
	const mario, anna = "mario@alfa.example", "anna@alfa.example"
	messages := []Kind{
		SubmissionAccepted, SubmissionRefused, EnvelopeCreated, ReceiptEmitted, EnvelopeReceived, ReceiptReceived,
		OrdinaryReceived, OrdinaryRefused, TakenInCharge, AnomalyCreated, Delivered, DeliveryFailed,
		RelayAttempt, RelayOK, RelayFailed, InterceptVirus, InterceptSpam, LimitReached, ScanReported, InterceptContents,
		ForwardSent, ForwardStopped, ForwardFailed,
	}
	others := []Kind{
		QueueHeld, QueueReleased, QueueRetried, QueueFailed, Access, AccessDenied, DomainState, MailboxCreated, MailboxState,
		MailboxTier, OrdinaryClosed, OrdinaryOpened, UserCreated, UserDisabled, UserEnabled, UserPassword, UserGrant, TierChanged,
		IndexLoaded, UsageSample, LedgerSealed, LedgerPurged, LedgerExtracted, QuarantineRead, QuarantinePurged, AlarmRaised, AlarmCleared,
		QueueResumed, QueueDropped, StoreCopied, StoreRestored,
		ProtectionChanged, UserDeleted, MailboxOptions, ProgramCreated, ProgramRevoked, GuessBlocked, GuessCleared, SendThrottled, SendBlocked, SendUnblocked,
		ContactAdded, ContactConfirmed, ContactRemoved, NoticeChosen, NoticeSent, NoticeFailed, QuotaReached,
		TokenCreated, TokenRevoked, RecoveryBegun,
		MailboxRaised, BodyChanged, BodyCeiling, DomainBody,
		MessageRead, MessageMoved, MessageCopied, MessageMarked, MessageExpunged, MessageAppended, RecoverablePurged,
		FilterChanged,
	}
	if all := append(slices.Clone(messages), others...); len(all) != len(Kinds()) {
		t.Errorf("%d kinds are classified, there are %d", len(all), len(Kinds()))
	}
	for _, k := range Kinds() {
		sent := full(t)
		sent.Kind, sent.Side, sent.Sender, sent.Mailbox = k, Own, mario, mario
		sent.Recipients = []Recipient{{anna, Certified}, {"x@beta.example", Certified}}
		received := sent
		received.Mailbox = anna
		shared := sent
		shared.Mailbox = ""
		if slices.Contains(others, k) {
			for _, e := range []Event{sent, received, shared} {
				for _, who := range []string{mario, anna} {
					if got, share := e.For(who); share != Nothing || !reflect.DeepEqual(got, Event{}) {
						t.Errorf("%s: %s sees %d, %+v", k, who, share, got)
					}
				}
			}
			continue
		}
		if !slices.Contains(messages, k) {
			t.Errorf("%s is not classified", k)
			continue
		}
		if got, share := sent.For(mario); share != Whole || !reflect.DeepEqual(got, sent) {
			t.Errorf("%s: the sender sees %d, %+v", k, share, got)
		}
		for _, e := range []Event{received, shared} {
			got, share := e.For(anna)
			if share != Part || got.Peer+got.User+got.Actor != "" || len(got.Recipients) != 1 || (got.Detail != "") != (e.Mailbox == anna) {
				t.Errorf("%s about %q: the recipient sees %d, %+v", k, e.Mailbox, share, got)
			}
		}
	}
}
