package mezzo

import (
	"time"

	"mezzo.dev/go/internal/canon"
)

// What the contract's records are in memory, read field by field in the contract's order. The numbers are the
// alignments and sizes that the canonical ABI gives to the payloads of options and variants, and to elements of lists.

func liftLabels(r *canon.Reader) Labels {
	all := canon.List(r, 4, func(r *canon.Reader) [2]string { return [2]string{r.Text(), r.Text()} })
	if len(all) == 0 {
		return nil
	}
	labels := make(Labels, len(all))
	for _, label := range all {
		labels[label[0]] = label[1]
	}
	return labels
}

func liftText(r *canon.Reader) string { return r.Text() }

func liftID[T ~uint64](r *canon.Reader) T { return T(r.U64()) }

func liftInstant(r *canon.Reader) time.Time { return instant(r.U64()) }

func liftResources(r *canon.Reader) Resources {
	resources := Resources{
		CPUMilli:    r.U64(),
		MemoryBytes: r.U64(),
		DiskBytes:   r.U64(),
		GPUs:        r.U32(),
		Ports:       r.U32(),
	}
	type amount struct {
		name  string
		milli uint64
	}
	custom := canon.List(r, 8, func(r *canon.Reader) amount { return amount{r.Text(), r.U64()} })
	r.Align(8)
	if len(custom) > 0 {
		resources.Custom = make(map[string]uint64, len(custom))
		for _, amount := range custom {
			resources.Custom[amount.name] = amount.milli
		}
	}
	return resources
}

func liftAgent(r *canon.Reader) Agent {
	var a Agent
	a.ID = liftID[AgentID](r)
	a.Hostname = r.Text()
	a.Address = r.Text()
	a.Region, _ = canon.Option(r, 4, 8, liftText)
	a.Zone, _ = canon.Option(r, 4, 8, liftText)
	a.Attributes = canon.List(r, 8, liftAttribute)
	r.Align(8)
	a.Total = liftResources(r)
	a.Runtimes = canon.List(r, 4, liftText)
	a.LeavingAt, _ = canon.Option(r, 8, 8, liftInstant)
	return a
}

func liftAttribute(r *canon.Reader) Attribute {
	a := Attribute{Name: r.Text()}
	which, payload := r.Variant(8, 8)
	if which == 0 {
		a.Value = Text(payload.Text())
	} else {
		a.Value = Milli(payload.U64())
	}
	return a
}

func liftOffer(r *canon.Reader) Offer {
	var o Offer
	o.ID = liftID[OfferID](r)
	o.Agent = liftID[AgentID](r)
	o.Free = liftResources(r)
	o.Reservation, _ = canon.Option(r, 8, 8, liftID[ReservationID])
	o.Volumes = canon.List(r, 4, liftText)
	return o
}

func liftReservation(r *canon.Reader) Reservation {
	var v Reservation
	v.ID = liftID[ReservationID](r)
	v.Agent = liftID[AgentID](r)
	v.Role = r.Text()
	v.MadeBy = r.Text()
	r.Align(8)
	v.Amount = liftResources(r)
	v.Free = liftResources(r)
	v.Volumes = canon.List(r, 8, func(r *canon.Reader) Volume {
		return Volume{Name: r.Text(), SizeBytes: r.U64(), Destroying: r.Bool(), InUse: r.Bool()}
	})
	v.Labels = liftLabels(r)
	v.Until, _ = canon.Option(r, 8, 8, liftInstant)
	v.Ending = r.Bool()
	return v
}

func liftPorts(r *canon.Reader) []AssignedPort {
	return canon.List(r, 4, func(r *canon.Reader) AssignedPort { return AssignedPort{r.Text(), r.U16()} })
}

func liftStatus(r *canon.Reader) TaskStatus {
	var s TaskStatus
	s.Task = r.Text()
	s.Run = liftID[RunID](r)
	s.Group, _ = canon.Option(r, 4, 8, liftText)
	s.Labels = liftLabels(r)
	s.Agent = liftID[AgentID](r)
	s.State = TaskState(r.U8())
	s.Reason = r.Text()
	s.Message = r.Text()
	if code, there := canon.Option(r, 4, 4, (*canon.Reader).U32); there {
		exit := int(int32(code))
		s.ExitCode = &exit
	}
	s.Address = r.Text()
	s.Ports = liftPorts(r)
	s.Since = liftInstant(r)
	return s
}

func liftLaunched(r *canon.Reader) Launched {
	return Launched{Task: r.Text(), Run: liftID[RunID](r), Ports: liftPorts(r)}
}

func liftReserved(r *canon.Reader) Reserved {
	return Reserved{Reservation: liftID[ReservationID](r), Offer: liftID[OfferID](r)}
}

func liftRow(r *canon.Reader) Row { return Row{r.Text(), r.Bytes()} }

func liftRefusal(r *canon.Reader) error {
	which, payload := r.Variant(4, 8)
	return &Refusal{RefusalKind(which), payload.Text()}
}

func liftEvent(r *canon.Reader) Event {
	which, p := r.Variant(4, 16)
	switch which {
	case 0:
		return AgentsEvent(canon.List(&p, 8, liftAgent))
	case 1:
		return AgentsGoneEvent(canon.List(&p, 8, liftID[AgentID]))
	case 2:
		return StatusesEvent(canon.List(&p, 8, liftStatus))
	case 3:
		return TimerEvent(p.Text())
	case 4:
		return OptionsEvent(p.Text())
	case 5:
		return StreamsClosedEvent(canon.List(&p, 8, liftID[StreamID]))
	case 6:
		return NoticeEvent{Kind: p.Text(), Body: p.Text()}
	case 7:
		return OffersEvent(canon.List(&p, 8, liftOffer))
	default:
		panic("mezzo: the master tells an event that this contract does not have")
	}
}
