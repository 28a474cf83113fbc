package mezzotest

import (
	"maps"
	"math"
	"slices"

	mezzo "mezzo.dev/go"
)

// piece is so many pieces of a demand.
type piece struct {
	demand mezzo.Demand
	count  uint32
}

// lease offers the reservations and agents on which a demand fits and that the framework has not seen as they are.
func (w *world) lease(limit int) []mezzo.Offer {
	ports := map[mezzo.AgentID]uint32{}
	var leases []mezzo.Offer
	for _, id := range slices.Sorted(maps.Keys(w.reservations)) {
		if len(leases) == limit {
			return leases
		}
		if offer, ok := w.leaseReservation(id, ports); ok {
			leases = append(leases, offer)
		}
	}
	gangs := w.gangs(limit - len(leases))
	for _, id := range slices.Sorted(maps.Keys(w.agents)) {
		agent := w.agents[id]
		if len(leases) == limit {
			break
		}
		if agent.silent {
			continue
		}
		wanted := gangs[id]
		for _, demand := range w.demands {
			if !demand.Together && len(demand.Reservations) == 0 && !agent.seen && agent.fits(demand) {
				wanted = append(wanted, piece{demand, demand.Count})
			}
		}
		if len(wanted) == 0 {
			continue
		}
		useful := mezzo.Resources{}
		for _, p := range wanted {
			useful = useful.Plus(p.demand.Each.Times(p.count))
		}
		free := agent.free.AtMost(useful)
		free.Ports = min(free.Ports, agent.free.Ports-min(agent.free.Ports, ports[id]))
		leases = append(leases, mezzo.Offer{ID: mezzo.OfferID(w.freshID()), Agent: id, Free: free})
	}
	return leases
}

// leaseReservation offers a reservation as it is, with as many of its agent's ports as the demands could use.
func (w *world) leaseReservation(id mezzo.ReservationID, given map[mezzo.AgentID]uint32) (mezzo.Offer, bool) {
	known := w.reservations[id]
	agent := w.agents[known.view.Agent]
	if known.seen || agent == nil || agent.silent {
		return mezzo.Offer{}, false
	}
	free := known.view.Free
	free.Ports = agent.free.Ports - min(agent.free.Ports, given[agent.info.ID])
	var wanted uint64
	fitting := 0
	for _, demand := range w.demands {
		if known.serves(demand) && free.Holds(demand.Each) && agent.accepts(demand) {
			fitting++
			each := uint64(demand.Each.Ports) * uint64(pieces(free, demand.Each, demand.Count))
			wanted += max(each, uint64(len(demand.FixedPorts)))
		}
	}
	if fitting == 0 {
		return mezzo.Offer{}, false
	}
	free.Ports = uint32(min(wanted, uint64(free.Ports), math.MaxUint32))
	given[agent.info.ID] += free.Ports
	return mezzo.Offer{
		ID:          mezzo.OfferID(w.freshID()),
		Agent:       agent.info.ID,
		Free:        free,
		Reservation: id,
		Volumes:     known.freeVolumes(),
	}, true
}

// gangs are, for each agent, the gangs that it is offered to and with how many pieces: those that fit as a whole on at
// most limit agents, of which at least one has not been seen as it is.
func (w *world) gangs(limit int) map[mezzo.AgentID][]piece {
	offered := map[mezzo.AgentID][]piece{}
	for _, demand := range w.demands {
		if !demand.Together {
			continue
		}
		var able []*agent
		allSeen := true
		for _, id := range slices.Sorted(maps.Keys(w.agents)) {
			if agent := w.agents[id]; !agent.silent && agent.fits(demand) {
				able = append(able, agent)
				allSeen = allSeen && agent.seen
			}
		}
		if allSeen {
			continue
		}
		// What is new first: the same agents once more would be refused once more.
		slices.SortStableFunc(able, func(a, b *agent) int { return order(a.seen) - order(b.seen) })
		missing := demand.Count
		parts := map[mezzo.AgentID]uint32{}
		for _, agent := range able {
			most := missing
			if len(demand.FixedPorts) > 0 {
				most = min(most, 1) // one agent has each port once
			}
			if n := pieces(agent.free, demand.Each, most); n > 0 {
				parts[agent.info.ID] = n
				missing -= n
			}
		}
		if missing == 0 && len(parts) <= limit {
			for id, n := range parts {
				offered[id] = append(offered[id], piece{demand, n})
			}
		}
	}
	return offered
}

func order(last bool) int {
	if last {
		return 1
	}
	return 0
}

// pieces is how many times each fits, at most count.
func pieces(free, each mezzo.Resources, count uint32) uint32 {
	fits, tooMany := uint64(0), uint64(count)+1
	for tooMany-fits > 1 {
		half := fits + (tooMany-fits)/2
		if free.Holds(each.Times(uint32(half))) {
			fits = half
		} else {
			tooMany = half
		}
	}
	return uint32(fits)
}

func (a *agent) fits(demand mezzo.Demand) bool { return a.free.Holds(demand.Each) && a.accepts(demand) }

// accepts says whether ports by number and conditions hold.
func (a *agent) accepts(demand mezzo.Demand) bool {
	for _, port := range demand.FixedPorts {
		if a.fixedUsed[port] {
			return false
		}
	}
	return mezzo.HoldAll(demand.Conditions, a.info)
}

// refused are the offers that a turn has refused: so much of them is left that a demand fits which it has not launched
// in full. The demands are those of before the turn.
func (t *turn) refused(offers []mezzo.Offer) []mezzo.Offer {
	var wanted []mezzo.Demand
	for _, demand := range t.before.demands {
		if t.served[demand.Name] < demand.Count {
			wanted = append(wanted, demand)
		}
	}
	return slices.DeleteFunc(slices.Clone(offers), func(offer mezzo.Offer) bool {
		return !slices.ContainsFunc(wanted, func(demand mezzo.Demand) bool { return t.couldServe(offer, demand) })
	})
}

func (t *turn) couldServe(offer mezzo.Offer, demand mezzo.Demand) bool {
	if offer.Reservation == 0 {
		if len(demand.Reservations) > 0 {
			return false
		}
	} else if known := t.before.reservations[offer.Reservation]; known == nil || !known.serves(demand) {
		return false
	}
	agent := t.before.agents[offer.Agent]
	left := t.left[offer.ID]
	return left != nil && left.Free.Holds(demand.Each) && mezzo.HoldAll(demand.Conditions, agent.info)
}
