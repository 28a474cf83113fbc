module mezzo.dev/go

go 1.25
