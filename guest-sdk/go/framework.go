package mezzo

// A Framework is a scheduler: it is told what happened and decides. Embed [Base] and override what it needs to hear
// about.
//
// A turn tells all that is waiting, in the order of these methods, and ends with TurnEnd. An error or a panic in any of
// them undoes the turn and the instance; see the package's documentation.
type Framework interface {
	// Agents that are new, or have changed. After a start, all of them.
	Agents(cx *Cx, agents []Agent) error
	// Agents that have left for good.
	AgentsGone(cx *Cx, agents []AgentID) error
	// The latest of each task whose status is not handled yet. States in between may be skipped, the final one never.
	Statuses(cx *Cx, statuses []TaskStatus) error
	// A timer has fired.
	Timer(cx *Cx, name string) error
	// The operator changed the options: a JSON object, for [DecodeOptions].
	Options(cx *Cx, options string) error
	// The clients of these response streams have gone.
	StreamsClosed(cx *Cx, streams []StreamID) error
	// Something newer than this SDK.
	Notice(cx *Cx, notice Notice) error
	// What can be used in this turn; what is not used goes back. A [Plan] keeps count of what is left.
	Offers(cx *Cx, offers []Offer) error
	// The last call of every turn, after the start, after all events, and after a request: the place to say anew what
	// is wanted.
	TurnEnd(cx *Cx) error

	mustEmbedBase()
}

// Base does nothing, whatever happens. It is there to be embedded, so that later versions can tell frameworks more.
type Base struct{}

// Agents does nothing.
func (Base) Agents(*Cx, []Agent) error { return nil }

// AgentsGone does nothing.
func (Base) AgentsGone(*Cx, []AgentID) error { return nil }

// Statuses does nothing.
func (Base) Statuses(*Cx, []TaskStatus) error { return nil }

// Timer does nothing.
func (Base) Timer(*Cx, string) error { return nil }

// Options does nothing.
func (Base) Options(*Cx, string) error { return nil }

// StreamsClosed does nothing.
func (Base) StreamsClosed(*Cx, []StreamID) error { return nil }

// Notice does nothing.
func (Base) Notice(*Cx, Notice) error { return nil }

// Offers does nothing.
func (Base) Offers(*Cx, []Offer) error { return nil }

// TurnEnd does nothing.
func (Base) TurnEnd(*Cx) error { return nil }

func (Base) mustEmbedBase() {}

// A Start makes a framework in the first turn of every instance. Memory is empty then, the durable state is not: read
// it, and say what is wanted. An error refuses the install, rolls an upgrade back, or counts as a fault.
type Start[F Framework] func(cx *Cx, setup Setup) (F, error)

// Setup is what an instance is told first.
type Setup struct {
	// The installed name, such as batch.
	Name string
	// Who is charged for its tasks.
	Role string
	// The operator's options: a JSON object, for [DecodeOptions].
	Options string
	// The digest of the component whose state this instance finds, on the first start after an upgrade.
	UpgradedFrom string
}

// A Notice is what a later master may tell; sent only for kinds that the component asks for.
type Notice struct {
	// What it is about.
	Kind string
	// JSON.
	Body string
}
