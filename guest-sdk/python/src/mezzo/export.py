"""`export` and `export_web`: what makes a component of a framework. Natively they do nothing, so that the same module
is imported by its tests."""

from __future__ import annotations

import sys

from mezzo.framework import Framework, WebFramework

IN_COMPONENT = sys.platform == "wasi"
"""Whether this Python runs inside of a component, or while one is built."""


def export(framework: type[Framework]) -> type:
    """Exports a framework as a component of the world `framework`; the last line of the app's module:
    `Scheduler = mezzo.export(Hello)`."""
    if not IN_COMPONENT:
        return framework
    from mezzo._guest import component

    return component.scheduler(component.build(framework, streams=False))


def export_web(framework: type[WebFramework]) -> tuple[type, type]:
    """Exports a framework as a component of the world `web-framework`; the last line of the app's module:
    `Scheduler, Web = mezzo.export_web(Service)`."""
    if not IN_COMPONENT:
        return framework, framework
    from mezzo._guest import component

    own = component.build(framework, streams=True)
    return component.scheduler(own), component.web(own)
