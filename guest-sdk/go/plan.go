package mezzo

import "slices"

// A Plan collects placements and keeps count of what each offer still holds, so that the whole turn needs one launch.
// It is first fit: a task goes on the first offer that holds it.
type Plan struct {
	offers     []Offer
	placements []Placement
	// No offer before this one holds the needs of the last search, which had no condition.
	cursor int
	last   Resources
}

// NewPlan plans with all offers of a turn.
func NewPlan(offers []Offer) *Plan { return &Plan{offers: slices.Clone(offers)} }

// Offers are the offers, with what is left of them.
func (p *Plan) Offers() []Offer { return p.offers }

// Place puts a task on the first offer that holds it. False if none does. Placing many equal tasks looks at each offer
// once.
func (p *Plan) Place(demand string, task Task) bool {
	needs := task.Needs()
	if !needs.Holds(p.last) {
		p.cursor = 0 // smaller in something: offers that were passed over may do
	}
	p.last = needs
	for ; p.cursor < len(p.offers); p.cursor++ {
		if p.offers[p.cursor].Free.Holds(needs) {
			p.put(p.cursor, needs, demand, task)
			return true
		}
	}
	return false
}

// PlaceWhere puts a task on the first offer that holds it and that accept agrees to.
func (p *Plan) PlaceWhere(demand string, task Task, accept func(Offer) bool) bool {
	needs := task.Needs()
	for i, offer := range p.offers {
		if offer.Free.Holds(needs) && accept(offer) {
			p.put(i, needs, demand, task)
			return true
		}
	}
	return false
}

func (p *Plan) put(offer int, needs Resources, demand string, task Task) {
	p.offers[offer].Free = p.offers[offer].Free.Minus(needs)
	p.placements = append(p.placements, task.On(p.offers[offer].ID, demand))
}

// Placements are what has been planned so far.
func (p *Plan) Placements() []Placement { return p.placements }

// Launch launches everything in one call; without placements there is no call.
func (p *Plan) Launch(cx *Cx) ([]Launched, error) {
	if len(p.placements) == 0 {
		return nil, nil
	}
	return cx.Launch(p.placements...)
}
