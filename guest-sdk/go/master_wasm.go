package mezzo

import (
	"errors"
	"log/slog"
	"time"

	"mezzo.dev/go/internal/canon"
	"mezzo.dev/go/internal/wired"
)

// master is the Host of a component: the contract's imports.
type master struct{}

// The imports as the canonical ABI flattens them. A string or a list is an address and a length; what does not fit into
// one result is written to the address that comes last.

//go:wasmimport mezzo:framework/driver@0.1.0 want
func driverWant(at, n, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 revive
func driverRevive()

//go:wasmimport mezzo:framework/driver@0.1.0 launch
func driverLaunch(at, n, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 launch-group
func driverLaunchGroup(groupAt, groupLen, at, n, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 kill
func driverKill(taskAt, taskLen, hasGrace uint32, graceMilli uint64, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 reserve
func driverReserve(offer, cpuMilli, memoryBytes, diskBytes uint64, gpus, ports, customAt, customLen, labelsAt, labelsLen,
	hasUntil uint32, until uint64, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 unreserve
func driverUnreserve(reservation uint64, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 create-volume
func driverCreateVolume(reservation uint64, nameAt, nameLen uint32, sizeBytes uint64, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 destroy-volume
func driverDestroyVolume(reservation uint64, nameAt, nameLen, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 reservations
func driverReservations(hasAfter uint32, after uint64, limit, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 tasks
func driverTasks(hasAfter, afterAt, afterLen, limit, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 find-task
func driverFindTask(taskAt, taskLen, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 agents
func driverAgents(hasAfter uint32, after uint64, limit, result uint32)

//go:wasmimport mezzo:framework/driver@0.1.0 find-agent
func driverFindAgent(agent uint64, result uint32)

//go:wasmimport mezzo:framework/state@0.1.0 get
func stateGet(keyAt, keyLen, result uint32)

//go:wasmimport mezzo:framework/state@0.1.0 set
func stateSet(keyAt, keyLen, valueAt, valueLen, result uint32)

//go:wasmimport mezzo:framework/state@0.1.0 delete
func stateDelete(keyAt, keyLen uint32)

//go:wasmimport mezzo:framework/state@0.1.0 scan
func stateScan(prefixAt, prefixLen, hasAfter, afterAt, afterLen, limit, result uint32)

//go:wasmimport mezzo:framework/timers@0.1.0 set
func timersSet(nameAt, nameLen uint32, afterMilli uint64, result uint32)

//go:wasmimport mezzo:framework/timers@0.1.0 cancel
func timersCancel(nameAt, nameLen uint32)

//go:wasmimport mezzo:framework/log@0.1.0 write
func logWrite(level, messageAt, messageLen uint32)

// answer is room for what an import writes, aligned to 8 bytes.
func answer(size uint32) uint32 { return canon.Allocate(size, 8) }

// refusal reads a result without a value; its error is a refusal.
func refusal(at uint32) error {
	r := canon.ReadAt(at)
	which, payload := r.Variant(4, 12)
	if which == 0 {
		return nil
	}
	return liftRefusal(&payload)
}

// complaint reads a result without a value; its error is a text.
func complaint(at uint32) error {
	r := canon.ReadAt(at)
	which, payload := r.Variant(4, 8)
	if which == 0 {
		return nil
	}
	return errors.New(payload.Text())
}

// list reads a list that stands alone.
func list[T any](at, align uint32, lift func(*canon.Reader) T) []T {
	r := canon.ReadAt(at)
	return canon.List(&r, align, lift)
}

func (master) Want(demands []Demand) error {
	canon.Enter()
	defer canon.Leave()
	at, n := canon.LowerList(demands, demandBytes, 8, lowerDemand)
	result := answer(16)
	driverWant(at, n, result)
	return refusal(result)
}

func (master) Revive() { driverRevive() }

func (master) Launch(placements []Placement) ([]Launched, error) {
	canon.Enter()
	defer canon.Leave()
	at, n := canon.LowerList(placements, placementBytes, 8, lowerPlacement)
	result := answer(16)
	driverLaunch(at, n, result)
	return launched(result)
}

func (master) LaunchGroup(group string, placements []Placement) ([]Launched, error) {
	canon.Enter()
	defer canon.Leave()
	groupAt, groupLen := canon.LowerText(group)
	at, n := canon.LowerList(placements, placementBytes, 8, lowerPlacement)
	result := answer(16)
	driverLaunchGroup(groupAt, groupLen, at, n, result)
	return launched(result)
}

func launched(at uint32) ([]Launched, error) {
	r := canon.ReadAt(at)
	which, payload := r.Variant(4, 12)
	if which != 0 {
		return nil, liftRefusal(&payload)
	}
	return canon.List(&payload, 8, liftLaunched), nil
}

func (master) Kill(task string, grace *time.Duration) error {
	canon.Enter()
	defer canon.Leave()
	taskAt, taskLen := canon.LowerText(task)
	result := answer(16)
	if grace == nil {
		driverKill(taskAt, taskLen, 0, 0, result)
	} else {
		driverKill(taskAt, taskLen, 1, milliseconds(*grace), result)
	}
	return refusal(result)
}

func (master) Reserve(offer OfferID, amount Resources, labels Labels, until time.Time) (Reserved, error) {
	canon.Enter()
	defer canon.Leave()
	customAt, customLen := canon.LowerList(amount.sortedCustom(), customBytes, 8, lowerCustom)
	labelsAt, labelsLen := canon.LowerList(sorted(labels), pairBytes, 4, lowerPair)
	hasUntil, untilMs := untilMilli(until)
	result := answer(24)
	driverReserve(uint64(offer), amount.CPUMilli, amount.MemoryBytes, amount.DiskBytes, amount.GPUs, amount.Ports,
		customAt, customLen, labelsAt, labelsLen, uint32(flag(hasUntil)), untilMs, result)
	r := canon.ReadAt(result)
	which, payload := r.Variant(8, 16)
	if which != 0 {
		return Reserved{}, liftRefusal(&payload)
	}
	return liftReserved(&payload), nil
}

func (master) Unreserve(reservation ReservationID) error {
	canon.Enter()
	defer canon.Leave()
	result := answer(16)
	driverUnreserve(uint64(reservation), result)
	return refusal(result)
}

func (master) CreateVolume(reservation ReservationID, name string, sizeBytes uint64) error {
	canon.Enter()
	defer canon.Leave()
	nameAt, nameLen := canon.LowerText(name)
	result := answer(16)
	driverCreateVolume(uint64(reservation), nameAt, nameLen, sizeBytes, result)
	return refusal(result)
}

func (master) DestroyVolume(reservation ReservationID, name string) error {
	canon.Enter()
	defer canon.Leave()
	nameAt, nameLen := canon.LowerText(name)
	result := answer(16)
	driverDestroyVolume(uint64(reservation), nameAt, nameLen, result)
	return refusal(result)
}

func (master) Reservations(after ReservationID, limit uint32) []Reservation {
	canon.Enter()
	defer canon.Leave()
	result := answer(8)
	driverReservations(uint32(flag(after != 0)), uint64(after), limit, result)
	return list(result, 8, liftReservation)
}

func (master) Tasks(after string, limit uint32) []TaskStatus {
	canon.Enter()
	defer canon.Leave()
	afterAt, afterLen := canon.LowerText(after)
	result := answer(8)
	driverTasks(uint32(flag(after != "")), afterAt, afterLen, limit, result)
	return list(result, 8, liftStatus)
}

func (master) FindTask(task string) (TaskStatus, bool) {
	canon.Enter()
	defer canon.Leave()
	taskAt, taskLen := canon.LowerText(task)
	result := answer(112)
	driverFindTask(taskAt, taskLen, result)
	r := canon.ReadAt(result)
	return canon.Option(&r, 8, 104, liftStatus)
}

func (master) Agents(after AgentID, limit uint32) []Agent {
	canon.Enter()
	defer canon.Leave()
	result := answer(8)
	driverAgents(uint32(flag(after != 0)), uint64(after), limit, result)
	return list(result, 8, liftAgent)
}

func (master) FindAgent(agent AgentID) (Agent, bool) {
	canon.Enter()
	defer canon.Leave()
	result := answer(128)
	driverFindAgent(uint64(agent), result)
	r := canon.ReadAt(result)
	return canon.Option(&r, 8, 120, liftAgent)
}

func (master) StateGet(key string) ([]byte, bool) {
	canon.Enter()
	defer canon.Leave()
	keyAt, keyLen := canon.LowerText(key)
	result := answer(12)
	stateGet(keyAt, keyLen, result)
	r := canon.ReadAt(result)
	return canon.Option(&r, 4, 8, (*canon.Reader).Bytes)
}

func (master) StateSet(key string, value []byte) error {
	canon.Enter()
	defer canon.Leave()
	keyAt, keyLen := canon.LowerText(key)
	valueAt, valueLen := canon.LowerBytes(value)
	result := answer(12)
	stateSet(keyAt, keyLen, valueAt, valueLen, result)
	return complaint(result)
}

func (master) StateDelete(key string) {
	canon.Enter()
	defer canon.Leave()
	stateDelete(canon.LowerText(key))
}

func (master) StateScan(prefix, after string, limit uint32) []Row {
	canon.Enter()
	defer canon.Leave()
	prefixAt, prefixLen := canon.LowerText(prefix)
	afterAt, afterLen := canon.LowerText(after)
	result := answer(8)
	stateScan(prefixAt, prefixLen, uint32(flag(after != "")), afterAt, afterLen, limit, result)
	return list(result, 4, liftRow)
}

func (master) SetTimer(name string, after time.Duration) error {
	canon.Enter()
	defer canon.Leave()
	nameAt, nameLen := canon.LowerText(name)
	result := answer(12)
	timersSet(nameAt, nameLen, milliseconds(after), result)
	return complaint(result)
}

func (master) CancelTimer(name string) {
	canon.Enter()
	defer canon.Leave()
	timersCancel(canon.LowerText(name))
}

func (master) Log(level slog.Level, message string) {
	canon.Enter()
	defer canon.Leave()
	at, n := canon.LowerText(message)
	logWrite(logLevel(level), at, n)
}

// logLevel is the contract's level: slog's own have a distance of 4 from each other.
func logLevel(level slog.Level) uint32 {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 2
	case level >= slog.LevelInfo:
		return 1
	default:
		return 0
	}
}

func (master) StreamWrite(stream StreamID, chunk []byte) bool {
	return wired.StreamWrite != nil && wired.StreamWrite(uint64(stream), chunk)
}

func (master) StreamClose(stream StreamID) {
	if wired.StreamClose != nil {
		wired.StreamClose(uint64(stream))
	}
}
