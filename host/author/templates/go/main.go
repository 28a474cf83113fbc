// The framework launches one task that greets, once, and logs how that went.
package main

import (
	"fmt"

	mezzo "mezzo.dev/go"
)

type greeter struct {
	mezzo.Base
	// Durable: it outlives this instance, upgrades and the master.
	greeted *mezzo.Value[bool]
}

func greeting() mezzo.Task {
	return mezzo.ProcessTask("greeting", "echo", "hello from a task")
}

func start(cx *mezzo.Cx, _ mezzo.Setup) (*greeter, error) {
	greeted, err := mezzo.LoadValue[bool](cx, "greeted")
	if err != nil {
		return nil, err
	}
	if !greeted.Get() {
		if err := cx.Want(mezzo.DemandFor("greeting", greeting(), 1)); err != nil {
			return nil, err
		}
	}
	return &greeter{greeted: greeted}, nil
}

func (g *greeter) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	if g.greeted.Get() {
		return nil
	}
	if _, err := cx.Launch(greeting().On(offers[0].ID, "greeting")); err != nil {
		cx.Log().Error("the greeting was refused", "error", err)
		return nil
	}
	g.greeted.Set(true)
	return nil
}

func (g *greeter) Statuses(cx *mezzo.Cx, statuses []mezzo.TaskStatus) error {
	for _, status := range statuses {
		cx.Log().Info(fmt.Sprintf("%s is %s", status.Task, status.State))
	}
	return nil
}

func init() { mezzo.Export(start) }

func main() {}
